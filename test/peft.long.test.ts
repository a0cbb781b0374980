/** Adapters go to PEFT and come from it. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { Onnx } from "@foretoken/backend-onnx"
import {
  draw,
  HostTensor,
  initialWeights,
  isAdapter,
  loadModel,
  makeProgramCache,
  makeScorer,
  presetConfig,
  saveModel,
  withLora
} from "@foretoken/core"
import type { ModelConfig, StoredModel } from "@foretoken/core"
import { Effect, Result } from "effect"
import { pythonWith } from "./python.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-peft-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const ids = [1, 5, 9, 30, 2, 17, 8, 39]

/** Reads adapters that were made here, and makes some: of each, log-probabilities of the ids that follow. */
const script = `
import json, sys, torch
from transformers import AutoModelForCausalLM
from peft import LoraConfig, PeftModel, get_peft_model
ids, base, given, asked = [json.loads(arg) for arg in sys.argv[1:]]
whole = lambda: AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
def logprobs(model):
    logits = model.eval()(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [logits[i, t].item() for i, t in enumerate(ids[1:])]
def made(out, settings):
    torch.manual_seed(1)
    model = get_peft_model(whole(), LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **settings))
    model.save_pretrained(out)
    return logprobs(model)
print(json.dumps({
    "given": logprobs(PeftModel.from_pretrained(whole(), given)),
    "made": [made(out, settings) for out, settings in asked]
}))
`

const vocabulary = { vocabSize: 40, bos: { _tag: "one", id: 1 }, eos: { _tag: "one", id: 2 } } as const
const nano = Result.getOrThrow(presetConfig("nano", vocabulary))

/** Matrices as torch's Linear keeps them, and as GPT-2's Conv1D does, which PEFT tells apart. */
const families: ReadonlyArray<{ readonly config: ModelConfig; readonly some: ReadonlyArray<string> }> = [
  { config: nano, some: ["q_proj", "v_proj"] },
  {
    config: {
      ...nano,
      family: "gpt2",
      kvHeads: nano.heads,
      headDim: nano.hiddenSize / nano.heads,
      norm: { _tag: "layer", eps: 1e-5 },
      positions: { _tag: "learned" },
      mlp: { _tag: "gelu", by: "tanh" },
      bias: { qkv: true, output: true, mlp: true },
      tieWordEmbeddings: true
    },
    some: ["c_attn", "c_proj"]
  }
]

/** The model with new adapters that say something. */
const adapted = (base: StoredModel, directory: string) =>
  Result.map(withLora(base, directory, { rank: 3, alpha: 5 }), (model): StoredModel => {
    const weights = Object.entries(model.weights).map(([name, value]) => {
      const drawn = () => draw.uniforms(7, [name], value.data.length).map((x) => x - 0.5)
      return [name, isAdapter(name) ? HostTensor.f32(value.shape, drawn()) : value] as const
    })
    return { ...model, weights: Object.fromEntries(weights) }
  })

const logprobsOf = ({ config: own, weights }: StoredModel) =>
  Effect.gen(function* () {
    const scorer = yield* makeScorer(own, yield* makeProgramCache)
    const scores = yield* scorer.score(weights, { documents: 1, length: ids.length, tokens: Int32Array.from(ids) })
    return Array.from(scores.logprobs.subarray(0, -1))
  }).pipe(Effect.scoped, Effect.provide(Onnx.layer({ device: "cpu" })))

const gap = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) => Math.max(...a.map((x, i) => Math.abs(x - b[i])))

const { run, missing } = pythonWith(["torch", "transformers", "peft"])

describe.skipIf(missing)("PEFT", () => {
  for (const { config, some } of families) {
    it.live(`loads adapters of ours, and we load its own: both say the same of a text to 1e-4 (${config.family})`, () =>
      Effect.gen(function* () {
        const at = (name: string) => join(root, config.family, name)
        const base: StoredModel = { config, weights: initialWeights(config, 3), tokenizerFiles: {} }
        const model = yield* Effect.fromResult(adapted(base, at("base")))
        yield* saveModel(at("base"), base)
        yield* saveModel(at("ours"), model)
        const asked = [
          [at("some"), { r: 4, lora_alpha: 6, target_modules: some }],
          [at("all"), { r: 2, lora_alpha: 3, target_modules: "all-linear", use_rslora: true }]
        ] as const
        const told = [ids, at("base"), at("ours"), asked].map((each) => JSON.stringify(each))
        const theirs: { readonly given: Array<number>; readonly made: Array<Array<number>> } = JSON.parse(
          run(script, told)
        )
        const bare = yield* logprobsOf(base)
        expect(gap(yield* logprobsOf(model), theirs.given)).toBeLessThan(1e-4)
        expect(gap(bare, theirs.given)).toBeGreaterThan(0.05)
        for (const [i, [there, { r, lora_alpha }]] of asked.entries()) {
          const loaded = yield* loadModel(there)
          expect(loaded.config.lora).toMatchObject({ rank: r, alpha: lora_alpha })
          expect(gap(yield* logprobsOf(loaded), theirs.made[i])).toBeLessThan(1e-4)
          expect(gap(bare, theirs.made[i])).toBeGreaterThan(0.05)
        }
      })
    )
  }
})

import { existsSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import {
  adamwRule,
  freshState,
  HostTensor,
  loadModel,
  makeLearner,
  makeProgramCache,
  Reference,
  saveModel,
  Schedule,
  weightsHash
} from "@foretoken/core"
import type { ModelConfig, Weights } from "@foretoken/core"
import { Effect } from "effect"
import { nextToken } from "../packages/core/src/rl/objective.ts"
import { familyGoldens, familyModel } from "../packages/core/test/model/familyGoldens.ts"
import { gap } from "../packages/core/test/model/numbers.ts"
import { temporaryDirectory } from "../packages/core/test/temporary.ts"
import { logitsOf } from "./logits.ts"
import { pythonWith } from "./python.ts"

/** The weights after an update of next-token prediction on a text. */
const trained = Effect.fnUntraced(function* (config: ModelConfig, weights: Weights, ids: ReadonlyArray<number>) {
  const optimizer = { rule: adamwRule({ learningRate: 0.01 }), schedule: Schedule.constant(1), maxNorm: 1 }
  const programs = yield* makeProgramCache
  const learner = yield* makeLearner({ config, weights, optimizer, state: freshState, programs })
  const shape = [1, ids.length]
  const trunkWeights = ids.map((_, i) => (i === 0 ? 0 : 1 / (ids.length - 1)))
  const data = { trunk: HostTensor.i32(shape, ids), trunkWeights: HostTensor.f32(shape, trunkWeights) }
  yield* learner.update([{ key: "next token", objective: nextToken, data }])
  return yield* learner.snapshot
}, Effect.scoped)

const root = temporaryDirectory()

/** Each model as it is and after an update, in a directory of its own. */
const saved = familyGoldens.flatMap((golden, i) =>
  (["as it is", "after an update"] as const).map((state, j) => ({
    golden,
    state,
    directory: join(root, `${i}-${j}`)
  }))
)

const weightsOf = ({ golden, state }: (typeof saved)[number]) => {
  const { config, weights } = familyModel(golden)
  const made = state === "as it is" ? Effect.succeed(weights) : trained(config, weights, golden.ids)
  return Effect.map(Effect.provide(made, Reference.layer), (weights) => ({ config, weights, tokenizerFiles: {} }))
}

describe("a saved model", () => {
  it.effect.each(saved)("$golden.name, $state, comes back bit for bit", (each) =>
    Effect.gen(function* () {
      const model = yield* weightsOf(each)
      // The weights of an update in shards: of most models some ten.
      yield* saveModel(each.directory, model, each.state === "as it is" ? {} : { shardBytes: 5000 })
      expect(existsSync(join(each.directory, "model.safetensors.index.json"))).toBe(each.state === "after an update")
      const back = yield* loadModel(each.directory)
      expect(back.config).toEqual(model.config)
      expect(weightsHash(back.weights)).toBe(weightsHash(model.weights))
      if (each.state === "after an update") {
        expect(weightsHash(back.weights)).not.toBe(weightsHash(familyModel(each.golden).weights))
      }
    })
  )

  const python = pythonWith(["torch", "transformers"])
  it.skipIf(python.missing)(
    "is loaded by transformers, every parameter used and none missing, and gives the same logits",
    async () => {
      const asked = saved.map(({ directory, golden: { ids } }) => ({ directory, ids }))
      const answers: ReadonlyArray<{ readonly complaints: string; readonly logits: ReadonlyArray<number> }> =
        JSON.parse(python.run(script, [JSON.stringify(asked)]))
      expect(answers.length).toBe(saved.length)
      for (const [i, { directory, golden, state }] of saved.entries()) {
        const { config, weights } = await Effect.runPromise(loadModel(directory))
        expect(answers[i].complaints, golden.name).toBe("")
        expect(gap(logitsOf(config, weights, golden.ids), answers[i].logits), `${golden.name} ${state}`).toBeLessThan(
          1e-4
        )
      }
    },
    180_000
  )
})

const script = `
import json, sys, torch, transformers
answers = []
for asked in json.loads(sys.argv[1]):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        asked["directory"], dtype=torch.float32, output_loading_info=True
    )
    complaints = {key: sorted(map(str, value)) for key, value in info.items() if value}
    with torch.no_grad():
        logits = model.eval()(torch.tensor([asked["ids"]])).logits[0]
    answers.append({"complaints": json.dumps(complaints) if complaints else "", "logits": logits.flatten().tolist()})
print(json.dumps(answers))
`

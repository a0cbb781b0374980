import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import {
  Evaluator,
  initialWeights,
  loadModel,
  makeGenerator,
  makeProgramCache,
  makeScorer,
  presetConfig
} from "@foretoken/core"
import type { Backend, ModelConfig, SampledCompletion, Value, WeightsOf } from "@foretoken/core"
import { Effect, Result } from "effect"
import { backendLayer } from "../../packages/cli/src/backend.ts"
import type { BackendChoice } from "../../packages/cli/src/backend.ts"
import { familyGoldens, familyModel } from "../../packages/core/test/model/familyGoldens.ts"
import type { FamilyGolden } from "../../packages/core/test/model/familyGoldens.ts"
import { inProcess, shared } from "./foretoken.ts"

const backends: ReadonlyArray<BackendChoice & { readonly name: string }> = [
  { name: "onnx:cpu", backend: "onnx", device: "cpu" },
  { name: "tfjs:tensorflow", backend: "tfjs", device: "tensorflow" },
  { name: "tfjs:wasm", backend: "tfjs", device: "wasm" }
]

/** Runs `effect`, or skips the test where this machine has no such backend. */
const on = async (
  { name, ...backend }: (typeof backends)[number],
  skip: (reason: string) => void,
  effect: Effect.Effect<void, Error, Backend>
): Promise<void> => {
  const outcome = await Effect.runPromise(effect.pipe(Effect.provide(backendLayer(backend)), Effect.result))
  if (outcome._tag === "Success") return
  const { reason } = { reason: String(outcome.failure), ...outcome.failure }
  if (name !== "tfjs:tensorflow" || !/binding|installed/.test(reason)) throw outcome.failure
  process.stderr.write(`skipped on ${name}: ${reason}\n`)
  skip(reason)
}

/** The tokens that a model goes on with, for texts of at most `longest` tokens. */
const greedily = Effect.fnUntraced(function* (config: ModelConfig, tokens: number, longest: number) {
  const settings = { groupSize: 1, sampling: { _tag: "greedy" } as const, stop: [], maxTokens: tokens }
  const generator = yield* makeGenerator(config, settings, yield* makeProgramCache)
  return Effect.fnUntraced(function* (weights: WeightsOf<Value>, ids: ReadonlyArray<number>) {
    const trunk = new Int32Array(longest)
    trunk.set(ids.slice(0, -1))
    const [completion] = yield* generator.generate(weights, {
      trunk: { documents: 1, length: longest, tokens: trunk },
      positions: 1,
      anchors: Int32Array.of(ids.length - 1),
      tail: Int32Array.from(ids.slice(-1)),
      uniforms: new Float32Array(tokens)
    })
    return [...completion.tokens]
  })
})

/** golden.json beside a model. */
const storyGoldens = (directory: string): ReadonlyArray<StoryGolden> =>
  JSON.parse(readFileSync(join(directory, "golden.json"), "utf8"))

interface StoryGolden {
  readonly text: string
  readonly ids: ReadonlyArray<number>
  readonly greedy: ReadonlyArray<number>
}

const gap = (a: ArrayLike<number>, b: ReadonlyArray<number>): number =>
  Math.max(...b.map((value, i) => Math.abs(a[i] - value)))

describe.each(backends)("on $name", (backend) => {
  it("tiny models of every family are read, and gone on with, as transformers does", (test) => {
    const each = Effect.fnUntraced(function* (golden: FamilyGolden) {
      const { config, weights } = familyModel(golden)
      const resident = yield* Evaluator.uploadWeights(weights)
      const scorer = yield* makeScorer(config, yield* makeProgramCache)
      const { ids } = golden
      const rows = { documents: 1, length: ids.length, tokens: Int32Array.from(ids) }
      const scores = yield* scorer.score(resident, rows)
      expect(gap(scores.logprobs, golden.logprobs_of_next), golden.name).toBeLessThan(2e-4)
      expect(gap(scores.entropy, golden.entropy), golden.name).toBeLessThan(2e-4)
      expect([...scores.argmax], golden.name).toEqual(golden.argmax)
      const goOn = yield* greedily(config, golden.greedy.length, ids.length)
      expect(yield* goOn(resident, ids), golden.name).toEqual(golden.greedy)
    }, Effect.scoped)
    // TensorFlow takes seconds to compile a program: there, those that between them have every mask and every norm.
    const some = /^(mistral, window|qwen3, heads wider|gpt2$)/
    const goldens = familyGoldens.filter(({ name }) => backend.name !== "tfjs:tensorflow" || some.test(name))
    return on(backend, test.skip, Effect.forEach(goldens, each, { discard: true }))
  })

  for (const directory of ["stories15M", "stories260K"]) {
    const { path, missing } = shared(`models/${directory}`)
    it.skipIf(missing)(`${directory} goes on from a text as it does in transformers`, (test) => {
      const all = Effect.gen(function* () {
        const goldens = storyGoldens(path)
        const { config, weights } = yield* loadModel(path)
        const resident = yield* Evaluator.uploadWeights(weights)
        const longest = Math.max(...goldens.map(({ ids }) => ids.length))
        const goOn = yield* greedily(config, goldens[0].greedy.length, longest)
        for (const { ids, greedy } of goldens) expect(yield* goOn(resident, ids)).toEqual(greedy)
      })
      return on(backend, test.skip, Effect.scoped(all))
    })
  }
})

/** Qwen2.5's vocabulary on a model that is next to nothing beside it. */
const large = (() => {
  const none = { _tag: "none" } as const
  const config = Result.getOrThrow(presetConfig("nano", { vocabSize: 151_936, bos: none, eos: none }))
  return { config, weights: initialWeights(config, 1) }
})()

// TensorFlow would take seconds to compile this.
const quick = backends.filter(({ name }) => name !== "tfjs:tensorflow")

describe.each(quick)("a vocabulary of 152 thousand tokens on $name", (backend) => {
  it("is read and drawn from in blocks of rows, which changes nothing", (test) => {
    const { config, weights } = large
    const all = Effect.gen(function* () {
      const resident = yield* Evaluator.uploadWeights(weights)
      const programs = yield* makeProgramCache
      const scorer = yield* makeScorer(config, programs)
      const text = Int32Array.from({ length: 120 }, (_, i) => (7919 * i) % config.vocabSize)
      const read = (length: number) => scorer.score(resident, { documents: 1, length, tokens: text.slice(0, length) })
      // 110 rows of logits are one block.
      const [two, one] = [yield* read(120), yield* read(100)]
      expect(gap(two.logprobs, [...one.logprobs.subarray(0, 99)])).toBeLessThan(1e-5)
      expect(gap(two.entropy, [...one.entropy])).toBeLessThan(1e-5)
      expect([...two.argmax.subarray(0, 100)]).toEqual([...one.argmax])

      const settings = { groupSize: 60, sampling: { _tag: "temperature", temperature: 1 } as const, stop: [] }
      const generator = yield* makeGenerator(config, { ...settings, maxTokens: 2 }, programs)
      const draws = (row: number) => [(row + 0.5) / 120, (((row * 37) % 120) + 0.5) / 120]
      const drawn = (rows: ReadonlyArray<number>) =>
        generator.generate(resident, {
          trunk: { documents: 1, length: 8, tokens: text.slice(0, 8) },
          positions: rows.length / 60,
          anchors: Int32Array.from({ length: rows.length / 60 }, () => 8),
          tail: text.slice(8, 9),
          uniforms: Float32Array.from([0, 1].flatMap((step) => rows.map((row) => draws(row)[step])))
        })
      const rows = Array.from({ length: 120 }, (_, row) => row)
      const [together, first, second] = [
        yield* drawn(rows),
        yield* drawn(rows.slice(0, 60)),
        yield* drawn(rows.slice(60))
      ]
      const tokensOf = (completions: ReadonlyArray<SampledCompletion>) => completions.map(({ tokens }) => [...tokens])
      expect(tokensOf(together)).toEqual(tokensOf([...first, ...second]))
    })
    return on(backend, test.skip, Effect.scoped(all))
  })
})

describe("foretoken sample --temperature 0", () => {
  const { path, missing } = shared("models/stories260K")
  it.skipIf(missing)("goes on as transformers does greedily", async () => {
    const [{ text, greedy }] = storyGoldens(path)
    const flags = ["--n", "1", "--tokens", String(greedy.length), "--temperature", "0", "--json"]
    const { stdout, code } = await inProcess(["sample", "--model", path, "--prompt", text, ...flags])
    expect(code).toBe(0)
    expect(JSON.parse(stdout).rollouts[0].tokens).toEqual(greedy)
  })
})

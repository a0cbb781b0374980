import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { entropy, top16, topK } from "../../src/data/Difficulty.ts"
import { makeGenerator } from "../../src/model/Generator.ts"
import { loadModel } from "../../src/model/ModelDirectory.ts"
import { makeScorer } from "../../src/model/Scorer.ts"
import { makeProgramCache } from "../../src/tensor/ProgramCache.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { shared } from "../data/shared.ts"
import { gap } from "./numbers.ts"

/** What transformers says of some texts, in float32. */
interface Golden {
  readonly ids: ReadonlyArray<number>
  readonly logprobs_of_next: ReadonlyArray<number>
  readonly argmax: ReadonlyArray<number>
  readonly entropy: ReadonlyArray<number>
  readonly entropy_top16_renormalised: ReadonlyArray<number>
  readonly entropy_top16_raw: ReadonlyArray<number>
  /** 24 tokens that greedy decoding goes on with; where the model can be trusted to have a clear favourite */
  readonly greedy?: ReadonlyArray<number>
}

const tiny = ["llama3", "qwen2", "qwen3", "gpt2"].map((family) => `tiny-random/tiny-${family}`)

for (const name of ["stories260K", ...tiny]) {
  const { path, missing } = shared(`models/${name}`)
  describe.skipIf(missing)(`${name} on the reference`, () => {
    const rows = (): ReadonlyArray<Golden> => JSON.parse(readFileSync(join(path, "golden.json"), "utf8"))

    it.effect("scores texts, padded to one length, as transformers does", () =>
      Effect.gen(function* () {
        const golden = rows()
        const { config, weights } = yield* loadModel(path)
        const scorer = yield* makeScorer(config, yield* makeProgramCache)
        const length = Math.max(...golden.map(({ ids }) => ids.length))
        const tokens = new Int32Array(golden.length * length)
        golden.forEach(({ ids }, d) => tokens.set(ids, d * length))
        const scores = yield* scorer.score(weights, { documents: golden.length, length, tokens })

        golden.forEach((row, d) => {
          const own = <A extends Float32Array | Int32Array>(all: A, count = row.ids.length) =>
            Array.from(all.subarray(d * length, d * length + count))
          const top = row.ids.map((_, i) => {
            const at = (d * length + i) * scores.topSize
            return scores.top.subarray(at, at + scores.topSize)
          })
          expect(gap(own(scores.logprobs, row.ids.length - 1), row.logprobs_of_next)).toBeLessThan(1e-5)
          expect(own(scores.argmax)).toEqual(row.argmax)
          expect(gap(own(scores.entropy), row.entropy)).toBeLessThan(1e-5)
          const renormalised = top.map((logprobs) => entropy(logprobs, top16))
          expect(gap(renormalised, row.entropy_top16_renormalised)).toBeLessThan(1e-5)
          const raw = top.map((logprobs) => entropy(logprobs, topK(16, { renormalised: false })))
          expect(gap(raw, row.entropy_top16_raw)).toBeLessThan(1e-5)
        })
      }).pipe(Effect.scoped, Effect.provide(Reference.layer))
    )

    if (missing || rows()[0].greedy === undefined) return
    it.effect("goes on greedily as transformers does", () =>
      Effect.gen(function* () {
        const [{ ids, greedy = [] }] = rows()
        const { config, weights } = yield* loadModel(path)
        const settings = { groupSize: 1, maxTokens: 12, sampling: { _tag: "greedy" }, stop: [] } as const
        const generator = yield* makeGenerator(config, settings, yield* makeProgramCache)
        const context = Int32Array.from(ids.slice(0, -1))
        const [completion] = yield* generator.generate(weights, {
          trunk: { documents: 1, length: context.length, tokens: context },
          positions: 1,
          anchors: Int32Array.of(context.length),
          tail: Int32Array.from(ids.slice(-1)),
          uniforms: new Float32Array(12)
        })
        expect(Array.from(completion.tokens)).toEqual(greedy.slice(0, 12))
        expect(completion.ended).toBe("length")
      }).pipe(Effect.scoped, Effect.provide(Reference.layer))
    )
  })
}

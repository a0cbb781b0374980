import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { gradients } from "../../src/autodiff/grad.ts"
import { makeGenerator } from "../../src/model/Generator.ts"
import { makeScorer } from "../../src/model/Scorer.ts"
import { branchLogprobs, trunkLogprobs } from "../../src/model/tokenLogprobs.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { encode } from "../../src/model/Transformer.ts"
import { weightShapes } from "../../src/model/weights.ts"
import { makeProgramCache } from "../../src/tensor/ProgramCache.ts"
import { fromHost, Reference } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { familyGoldens, familyModel, numbers } from "./familyGoldens.ts"
import { compute, float, gap, int } from "./numbers.ts"

type Weights = WeightsOf<Tensor>

// transformers rounds what RMSNorm gives and rotary angles to float32.
const tolerance = 1e-5

describe.each(familyGoldens)("$name, as transformers has it", (golden) => {
  const { config, weights } = familyModel(golden)
  const given = Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, fromHost(value)]))
  const { ids } = golden

  it("has parameters of the same names and shapes", () => {
    expect(Object.fromEntries(weightShapes(config))).toEqual(golden.shapes)
  })

  it.effect("gives the same log-probabilities, favourites and entropies", () =>
    Effect.gen(function* () {
      const scorer = yield* makeScorer(config, yield* makeProgramCache)
      const rows = { documents: 1, length: ids.length, tokens: Int32Array.from(ids) }
      const scores = yield* scorer.score(weights, rows)
      expect(gap(scores.logprobs.subarray(0, ids.length - 1), golden.logprobs_of_next)).toBeLessThan(tolerance)
      expect([...scores.argmax]).toEqual(golden.argmax)
      expect(gap(scores.entropy, golden.entropy)).toBeLessThan(tolerance)
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.each([1, 10, 20])("gives the same log-probabilities of what hangs on the trunk at %i", (anchor) => {
    const { logprobs } = compute(
      (inputs: { weights: Weights; trunk: Tensor; branches: Tensor; anchors: Tensor }) => {
        const hung = { tokens: inputs.branches, anchors: inputs.anchors }
        const encoded = encode(config, inputs.weights, inputs.trunk, [hung])
        return { logprobs: branchLogprobs(config, inputs.weights, encoded, hung, 1, 1) }
      },
      {
        weights: given,
        trunk: int([1, ids.length], ids),
        branches: int([1, 1, ids.length - anchor], ids.slice(anchor)),
        anchors: int([1, 1], [anchor])
      }
    )
    expect(gap(logprobs.data, golden.logprobs_of_next.slice(anchor))).toBeLessThan(tolerance)
  })

  it("gives the same gradient of every parameter", () => {
    const names = Object.keys(given)
    const { gradient } = compute(
      (inputs: { weights: Weights; tokens: Tensor; each: Tensor }) => {
        const encoded = encode(config, inputs.weights, inputs.tokens, [])
        const loss = trunkLogprobs(config, inputs.weights, encoded, inputs.tokens).mul(inputs.each).sum()
        const all = gradients(
          loss,
          names.map((name) => inputs.weights[name])
        )
        return { gradient: Object.fromEntries(names.map((name, i) => [name, all[i]])) }
      },
      {
        weights: given,
        tokens: int([1, ids.length], ids),
        each: float(
          [1, ids.length - 1],
          ids.slice(1).map((_, i) => (i + 1) / ids.length)
        )
      }
    )
    for (const [name, [along, length]] of Object.entries(golden.gradients)) {
      const { data } = gradient[name]
      const direction = numbers(`along ${name}`, data.length)
      const product = direction.reduce((sum, x, i) => sum + x * data[i], 0)
      expect(Math.abs(product - along), name).toBeLessThan(tolerance * Math.max(1, length))
      expect(Math.abs(Math.hypot(...data) - length), name).toBeLessThan(tolerance * Math.max(1, length))
    }
  })

  it.effect("goes on greedily with the same tokens", () =>
    Effect.gen(function* () {
      const settings = { groupSize: 1, sampling: { _tag: "greedy" } as const, stop: [], maxTokens: 20 }
      const generator = yield* makeGenerator(config, settings, yield* makeProgramCache)
      // Where the trunk ends and a branch begins must not matter. Two segments; the keys of a long tail stand apart.
      for (const anchor of [23, 15, 3]) {
        const [{ tokens }] = yield* generator.generate(weights, {
          trunk: { documents: 1, length: 23, tokens: Int32Array.from(ids.slice(0, 23)) },
          positions: 1,
          anchors: Int32Array.of(anchor),
          tail: Int32Array.from(ids.slice(anchor)),
          uniforms: new Float32Array(20)
        })
        expect([...tokens]).toEqual(golden.greedy)
      }
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )
})

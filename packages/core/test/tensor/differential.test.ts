import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Context } from "effect"
import { initialWeights } from "../../src/model/weights.ts"
import { presetConfig } from "../../src/model/presets.ts"
import { textProgram } from "../../src/optim/textProgram.ts"
import { Result } from "effect"
import { Backend } from "../../src/tensor/Backend.ts"
import type { OpDifference } from "../../src/tensor/differential.ts"
import { differences, firstDeparture } from "../../src/tensor/differential.ts"
import { Graph } from "../../src/tensor/Graph.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { computing, mapped } from "./sabotage.ts"

const config = Result.getOrThrow(
  presetConfig("nano", { vocabSize: 24, bos: { _tag: "one", id: 1 }, eos: { _tag: "one", id: 2 } })
)
const weights = initialWeights(config, 3)
const ids = Int32Array.of(1, 7, 3, 20, 9)

const service = (layer: Layer.Layer<Backend>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, Backend))

const compare = (
  wrong: Layer.Layer<Backend>,
  { graph, inputs } = textProgram(config, weights, ids, "none"),
  turned = false
): Effect.Effect<ReadonlyArray<OpDifference>, Error> =>
  Effect.gen(function* () {
    const [right, other] = [yield* service(Reference.layer), yield* service(wrong)]
    return yield* differences(graph, inputs, turned ? [other, right] : [right, other], 2e-6)
  }).pipe(Effect.scoped)

describe("the difference of two backends", () => {
  for (const [program, gradient] of [
    ["a reading", "none"],
    ["a gradient", Object.keys(weights)]
  ] as const) {
    it.effect(`is none between a backend and itself, on ${program}`, () =>
      Effect.gen(function* () {
        const found = yield* compare(Reference.layer, textProgram(config, weights, ids, gradient))
        expect(found.length).toBeGreaterThan(50)
        expect(firstDeparture(found)).toBeUndefined()
        expect(Math.max(...found.map(({ inherited }) => inherited))).toBe(0)
        // Values are rounded to f32 between primitives, and that is seen.
        expect(Math.max(...found.flatMap(({ own }) => own.map(({ ratio }) => ratio)))).toBeGreaterThan(1e-3)
      })
    )
  }

  it.effect("names the first primitive that is out of tolerance, not those that inherit its error", () =>
    Effect.gen(function* () {
      const wrong = computing("softmax", (_, right) => mapped(right, (x) => x * (1 + 1e-4)))
      const program = Graph.trace(({ x, w }) => x.matmul(w).softmax().matmul(w).tanh(), {
        x: { dtype: "f32", shape: [3, 4] },
        w: { dtype: "f32", shape: [4, 4] }
      })
      const inputs = [
        HostTensor.f32(
          [3, 4],
          Array.from({ length: 12 }, (_, i) => Math.sin(i))
        ),
        HostTensor.f32(
          [4, 4],
          Array.from({ length: 16 }, (_, i) => Math.cos(i))
        )
      ]
      const found = yield* compare(wrong, { graph: program.graph, inputs })
      expect(found.map(({ op }) => op)).toEqual(["matmul", "softmax", "matmul", "tanh"])
      expect(firstDeparture(found)).toEqual({ index: 1, backend: 1 })
      const [before, itself, ...after] = found
      expect(before.inherited).toBe(0)
      expect(itself.own[1].error / itself.largest).toBeCloseTo(1e-4, 5)
      expect(itself.own[1].ratio).toBeGreaterThan(5)
      for (const { own, inherited } of after) {
        expect(inherited).toBeGreaterThan(1e-6)
        expect(Math.max(...own.map(({ ratio }) => ratio))).toBeLessThan(1)
      }
      expect(found.map(({ at }) => at)).toEqual(["x, w", "x, w", "w", "w"])
    })
  )

  it.effect("tells which of the two departs, and finds one wrong element, one wrong integer and a NaN", () =>
    Effect.gen(function* () {
      const one = computing("rmsNorm", (_, right) => mapped(right, (x, i) => (i === 3 ? x + 1e-3 : x)))
      const found = yield* compare(one)
      const first = firstDeparture(found)
      expect(first?.backend).toBe(1)
      expect(found[first?.index ?? 0].op).toBe("rmsNorm")
      expect(found[first?.index ?? 0].at).toBe("model.layers.0.input_layernorm.weight")
      expect(firstDeparture(yield* compare(one, undefined, true))?.backend).toBe(0)

      const later = computing("argmax", (_, right) => mapped(right, (x, i) => (i === 2 ? x + 1 : x)))
      const integers = yield* compare(later)
      expect(integers[firstDeparture(integers)?.index ?? 0]).toMatchObject({
        op: "argmax",
        own: [{ error: 0 }, { error: 1 }]
      })

      const broken = computing("topK", (_, right) => mapped(right, (x, i) => (i === 0 ? NaN : x)))
      const nans = yield* compare(broken)
      expect(nans[firstDeparture(nans)?.index ?? 0]).toMatchObject({
        op: "topK",
        own: [{}, { error: Infinity, ratio: Infinity }]
      })
    })
  )
})

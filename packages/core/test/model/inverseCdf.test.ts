import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { inverseCdf } from "../../src/model/inverseCdf.ts"
import { compile } from "../../src/tensor/Executable.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { forAll } from "../../src/testing/forAll.ts"

/** Draws of one row of weights (made probabilities) by each of the uniforms. */
const drawn = (weights: ReadonlyArray<number>, uniforms: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const rows = uniforms.map(() => weights.map((weight) => weight / total))
    const type = { dtype: "f32", shape: [rows.length, weights.length] } as const
    const program = yield* compile(
      "draw",
      ({ p, u }: { p: Tensor; u: Tensor }) => inverseCdf(p, u).index,
      { p: type, u: { dtype: "f32", shape: [rows.length] } as const },
      "host"
    )
    const inputs = { p: HostTensor.f32(type.shape, rows.flat()), u: HostTensor.f32([rows.length], uniforms) }
    const output = yield* program.run(inputs)
    return "_tag" in output ? [] : Array.from(output.data)
  }).pipe(Effect.scoped, Effect.provide(Reference.layer))

const uniform = fc.double({ min: 0, max: 1 - 2 ** -24, noNaN: true })
const weight = fc.oneof(
  { arbitrary: fc.constant(0), weight: 1 },
  { arbitrary: fc.integer({ min: 1, max: 999 }), weight: 3 }
)

describe("inverseCdf", () => {
  it.effect("draws the first index whose running sum passes the uniform", () =>
    forAll(
      fc.tuple(
        fc.array(weight, { minLength: 1, maxLength: 70 }).filter((all) => all.some((w) => w > 0)),
        fc.array(uniform, { minLength: 1, maxLength: 4 })
      ),
      ([weights, uniforms]) =>
        Effect.gen(function* () {
          const total = weights.reduce((sum, w) => sum + w, 0)
          for (const [i, index] of (yield* drawn(weights, uniforms)).entries()) {
            const upTo = weights.slice(0, index).reduce((sum, w) => sum + w, 0)
            expect(weights[index]).toBeGreaterThan(0)
            expect(uniforms[i]).toBeGreaterThan(upTo / total - 1e-5)
            expect(uniforms[i]).toBeLessThan((upTo + weights[index]) / total + 1e-5)
          }
        }),
      { numRuns: 60 }
    )
  )

  it.effect("draws the last token that has a probability when the uniform is as large as it can be", () =>
    Effect.gen(function* () {
      expect(yield* drawn([1, 2, 0, 3, 0, 0], [1 - 2 ** -24, 1])).toEqual([3, 3])
    })
  )

  it.effect("draws the first token that has a probability when the uniform is 0", () =>
    Effect.gen(function* () {
      expect(yield* drawn([0, 0, 5, 1], [0])).toEqual([2])
    })
  )
})

import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { adamw, adamwNumbers } from "../../src/routine/adamw.ts"
import { sumOfSquares } from "../../src/routine/clip.ts"
import { chunk, moduleBytes } from "../../src/routine/simd/kernels.ts"
import { optimizerLoops } from "../../src/routine/simd/loops.ts"

/** Every bit pattern of an f32, and often what is odd: zeros, the tiniest, the largest, Infinity, NaN. */
const element = fc.oneof(
  fc.float(),
  fc.float({ min: -4, max: 4, noNaN: true }),
  fc.constantFrom(0, -0, 2 ** -149, -(2 ** -127), 3e38, Infinity, -Infinity, NaN)
)

/** Arrays of one length, made by repeating a few elements, so that some are longer than a chunk. */
const arrays = fc
  .tuple(
    fc.oneof(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: chunk - 9, max: chunk + 9 }),
      fc.constant(2 * chunk + 3)
    ),
    fc.array(fc.tuple(element, element, element, element), { minLength: 1, maxLength: 30 })
  )
  .map(([length, rows]) => {
    const column = (k: 0 | 1 | 2 | 3) => Float32Array.from({ length }, (_, i) => rows[i % rows.length][k])
    return { param: column(0), grad: column(1), m: column(2), v: column(3) }
  })

const share = fc.oneof(
  fc.constantFrom(0, 0.9, 0.95, 0.999),
  fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
)
const numbers = fc
  .tuple(
    fc.record({
      learningRate: fc.constantFrom(0, 1e-6, 1e-3, 0.1),
      beta1: share,
      beta2: share,
      eps: fc.constantFrom(0, 1e-8, 1e-5),
      weightDecay: fc.constantFrom(0, 0.1)
    }),
    fc.integer({ min: 1, max: 10_000 }),
    fc.oneof(fc.constant(1), fc.double({ min: 1e-9, max: 1, noNaN: true }))
  )
  .map(([settings, step, scale]) => adamwNumbers(settings, step, scale))

/** Bits of an array; any NaN is a NaN. */
const bits = (array: Float32Array): Buffer =>
  Buffer.from(new Uint8Array(array.map((x) => (Number.isNaN(x) ? NaN : x)).buffer))

describe("the loops on vectors", () => {
  const loops = optimizerLoops()

  it("are there on this machine", () => {
    expect(loops.adamw).not.toBe(adamw)
    expect(moduleBytes().length).toBeLessThan(2000)
  })

  it("move weights and moments to the bits of the plain loop", () => {
    fc.assert(
      fc.property(arrays, numbers, (given, numbers) => {
        const copy = () => ({ ...given, param: given.param.slice(), m: given.m.slice(), v: given.v.slice() })
        const [ours, plain] = [copy(), copy()]
        loops.adamw(ours, numbers)
        adamw(plain, numbers)
        for (const key of ["param", "m", "v"] as const) expect(bits(ours[key]).equals(bits(plain[key])), key).toBe(true)
      })
    )
  })

  it("add squares up to the bits of the plain loop", () => {
    fc.assert(
      fc.property(arrays, ({ param, grad }) => {
        for (const array of [param, grad]) expect(loops.sumOfSquares(array)).toBe(sumOfSquares(array))
      })
    )
  })

  it("refuse lengths that differ", () => {
    const [a, b] = [new Float32Array(2), new Float32Array(3)]
    const numbers = adamwNumbers({ learningRate: 1, beta1: 0, beta2: 0, eps: 0, weightDecay: 0 }, 1, 1)
    expect(() => loops.adamw({ param: a, grad: b, m: a, v: a }, numbers)).toThrow(/equal lengths: param 2, grad 3/)
  })
})

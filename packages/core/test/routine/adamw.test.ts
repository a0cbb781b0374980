import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { adamw, adamwDefaults, adamwNumbers, decays } from "../../src/routine/adamw.ts"
import type { AdamW } from "../../src/routine/adamw.ts"

const gradients = [
  [0.1, -0.2, 0, 3],
  [1e-6, 0.5, -0.25, -3],
  [-0.3, 0, 0.75, 1e-20],
  [2, -1, 0.1, 0.2],
  [0.5, 0.5, 0.5, 0.5]
]

/** The textbook, one number at a time in float64, with the corrected moments spelled out. */
const textbook = (p: number, grads: ReadonlyArray<number>, { learningRate, beta1, beta2, eps, weightDecay }: AdamW) => {
  let m = 0
  let v = 0
  grads.forEach((g, i) => {
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g ** 2
    const corrected = { m: m / (1 - beta1 ** (i + 1)), v: v / (1 - beta2 ** (i + 1)) }
    p -= learningRate * (corrected.m / (Math.sqrt(corrected.v) + eps) + weightDecay * p)
  })
  return { p, m, v }
}

const run = (start: ArrayLike<number>, grads: ReadonlyArray<ArrayLike<number>>, settings: AdamW) => {
  const param = Float32Array.from(start)
  const m = new Float32Array(param.length)
  const v = new Float32Array(param.length)
  grads.forEach((grad, i) => adamw({ param, grad: Float32Array.from(grad), m, v }, adamwNumbers(settings, i + 1, 1)))
  return { param, m, v }
}

const f32 = (max: number) => fc.float({ min: Math.fround(-max), max: Math.fround(max), noNaN: true })
const settings: fc.Arbitrary<AdamW> = fc.record({
  learningRate: fc.constantFrom(1e-4, 1e-2),
  beta1: fc.constantFrom(0, 0.8, 0.9),
  beta2: fc.constantFrom(0.9, 0.95, 0.999),
  eps: fc.constantFrom(1e-8, 1e-5),
  weightDecay: fc.constantFrom(0, 0.1)
})

describe("AdamW", () => {
  it("agrees with torch.optim.AdamW in float64 over five steps", () => {
    const { param, m, v } = run([1, -2, 0.5, 0], gradients, {
      learningRate: 0.01,
      beta1: 0.9,
      beta2: 0.95,
      eps: 1e-8,
      weightDecay: 0.1
    })
    // torch 2.15: torch.optim.AdamW([p], lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1), dtype float64
    const golden = {
      param: [0.9722078187638611, -1.9834412344661974, 0.4907382944471875, -0.009575532034697142],
      m: [0.21226107289999996, -0.016672, 0.10152499999999998, 0.04613],
      v: [0.20696850312504303, 0.07234620000000005, 0.04103710937500003, 0.7667465625000005]
    }
    for (const [ours, theirs] of [
      [param, golden.param],
      [m, golden.m],
      [v, golden.v]
    ] as const) {
      theirs.forEach((value, i) => expect(Math.abs(ours[i] / value - 1)).toBeLessThan(4e-7))
    }
  })

  it("agrees with the textbook in float64 to the rounding of f32", () => {
    const trajectory = fc.array(f32(10), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(f32(2), trajectory, settings, (start, grads, settings) => {
        const ours = run(
          [start],
          grads.map((g) => [g]),
          settings
        )
        const theirs = textbook(start, grads, settings)
        const close = (a: number, b: number, scale: number) => Math.abs(a - b) <= 2e-6 * scale
        expect(close(ours.m[0], theirs.m, 10)).toBe(true)
        expect(close(ours.v[0], theirs.v, 100)).toBe(true)
      })
    )
  })

  it("moves every element by the learning rate in its first step, whatever the gradient's size", () => {
    fc.assert(
      fc.property(f32(1e3), (g) => {
        fc.pre(Math.abs(g) > 1e-3)
        const { param } = run([0], [[g]], { ...adamwDefaults, learningRate: 0.1 })
        expect(Math.abs(param[0] + 0.1 * Math.sign(g))).toBeLessThan(1e-5)
      })
    )
  })

  it("gives the same bits every time, element by element or all at once", () => {
    const vectors = fc.array(fc.array(f32(10), { minLength: 5, maxLength: 5 }), { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(vectors, settings, ([start, ...grads], settings) => {
        const together = run(start, grads, settings)
        const again = run(start, grads, settings)
        expect(together).toEqual(again)
        start.forEach((value, i) => {
          const alone = run(
            [value],
            grads.map((grad) => [grad[i]]),
            settings
          )
          expect([alone.param[0], alone.m[0], alone.v[0]]).toEqual([together.param[i], together.m[i], together.v[i]])
        })
      })
    )
  })

  it("decays without a gradient by exactly learning rate times weight decay", () => {
    const { param } = run([2], [[0]], { ...adamwDefaults, learningRate: 0.5, weightDecay: 0.25 })
    expect(param[0]).toBe(1.75)
  })

  it("moves by gradients times the scale, rounded, as if they had been scaled before", () => {
    const inputs = fc.array(fc.array(f32(10), { minLength: 5, maxLength: 5 }), { minLength: 2, maxLength: 2 })
    fc.assert(
      fc.property(inputs, fc.double({ min: 1e-6, max: 1, noNaN: true }), ([start, grad], scale) => {
        const [at, of] = [Float32Array.from(start), Float32Array.from(grad)]
        const scaled = run(start, [of.map((g) => scale * g)], adamwDefaults)
        const arrays = { param: at, grad: of, m: new Float32Array(5), v: new Float32Array(5) }
        adamw(arrays, adamwNumbers(adamwDefaults, 1, scale))
        expect([at, arrays.m, arrays.v]).toEqual([scaled.param, scaled.m, scaled.v])
      })
    )
  })

  it("decays matrices, not gains", () => {
    expect([decays([3, 4]), decays([4]), decays([])]).toEqual([true, false, false])
  })

  it("refuses lengths that differ and steps below 1", () => {
    const [a, b] = [new Float32Array(2), new Float32Array(3)]
    const arrays = { param: a, grad: b, m: a, v: a }
    expect(() => adamw(arrays, adamwNumbers(adamwDefaults, 1, 1))).toThrow(/equal lengths: param 2, grad 3/)
    expect(() => adamwNumbers(adamwDefaults, 0, 1)).toThrow(/counts its steps from 1, not 0/)
  })
})

import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clipScale, globalNorm } from "../../src/routine/clip.ts"

const gradients = fc.array(fc.float32Array({ noNaN: true, min: -1000, max: 1000, maxLength: 20 }), { maxLength: 4 })

describe("clipping by global norm", () => {
  it("brings the norm down to the limit, and leaves a smaller one as it is", () => {
    fc.assert(
      fc.property(gradients, fc.float({ min: Math.fround(0.01), max: 100, noNaN: true }), (original, maxNorm) => {
        const norm = globalNorm(original)
        const scale = clipScale(norm, maxNorm)
        expect(scale).toBe(Math.min(1, maxNorm / norm))
        const clipped = original.map((gradient) => gradient.map((x) => scale * x))
        expect(globalNorm(clipped)).toBeLessThanOrEqual(maxNorm * (1 + 1e-6))
        if (norm <= maxNorm) expect(clipped).toEqual(original)
      })
    )
  })

  it("measures the norm as the engine's hypot does", () => {
    fc.assert(
      fc.property(gradients, (gradients) => {
        const expected = Math.hypot(...gradients.flatMap((g) => [...g]))
        // Squares of subnormals vanish in float64; hypot scales.
        expect(Math.abs(globalNorm(gradients) - expected)).toBeLessThanOrEqual(1e-12 * expected + 1e-30)
      })
    )
    expect(globalNorm([Float32Array.of(3), Float32Array.of(), Float32Array.of(4)])).toBe(5)
  })

  it("adds up in float64: a large value does not swallow the small ones", () => {
    const many = new Float32Array(100_001).fill(0.01)
    many[0] = 1000
    expect(globalNorm([many])).toBeCloseTo(Math.sqrt(1e6 + 10), 6)
  })

  it("adds up side by side in eight lanes, then the lanes, then the arrays", () => {
    const large = Float32Array.from({ length: 19 }, (_, i) => Math.fround(1.1 ** (i * 3)))
    const lanes = Array.from({ length: 8 }, (_, lane) => large.filter((_x, i) => i % 8 === lane))
    const [a, b, c, d, e, f, g, h] = lanes.map((lane) => lane.reduce((sum, x) => sum + x * x, 0))
    expect(globalNorm([Float32Array.of(0.5), large])).toBe(Math.sqrt(0.25 + (a + b + (c + d) + (e + f + (g + h)))))
  })

  it("finds no finite norm where a gradient has no direction", () => {
    for (const bad of [NaN, Infinity, -Infinity])
      expect(Number.isFinite(globalNorm([Float32Array.of(1, bad)]))).toBe(false)
  })

  it("refuses a limit that is not positive", () => {
    expect(() => clipScale(1, 0)).toThrow(/must be positive, not 0/)
    expect(() => clipScale(1, NaN)).toThrow(/must be positive/)
  })
})

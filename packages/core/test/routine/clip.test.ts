import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clipGlobalNorm, globalNorm } from "../../src/routine/clip.ts"

const gradients = fc.array(fc.float32Array({ noNaN: true, min: -1000, max: 1000, maxLength: 20 }), { maxLength: 4 })

describe("clipping by global norm", () => {
  it("leaves a norm of at most the limit, the direction, and short gradients untouched", () => {
    fc.assert(
      fc.property(gradients, fc.float({ min: Math.fround(0.01), max: 100, noNaN: true }), (original, maxNorm) => {
        const clipped = original.map((gradient) => gradient.slice())
        const result = clipGlobalNorm(clipped, maxNorm)
        expect(result._tag).toBe("finite")
        expect(result.norm).toBe(globalNorm(original))
        expect(globalNorm(clipped)).toBeLessThanOrEqual(maxNorm * (1 + 1e-6))
        if (result.norm <= maxNorm) expect(clipped).toEqual(original)
        const scale = Math.min(1, maxNorm / result.norm)
        clipped.forEach((g, i) => g.forEach((x, j) => expect(x).toBe(Math.fround(scale * original[i][j]))))
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

  it("reports a gradient that has no direction and leaves it alone", () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const gradient = Float32Array.of(1, bad)
      expect(clipGlobalNorm([gradient], 1)._tag).toBe("non-finite")
      expect([...gradient]).toEqual([1, bad])
    }
  })

  it("refuses a limit that is not positive", () => {
    expect(() => clipGlobalNorm([], 0)).toThrow(/must be positive, not 0/)
    expect(() => clipGlobalNorm([], NaN)).toThrow(/must be positive/)
  })
})

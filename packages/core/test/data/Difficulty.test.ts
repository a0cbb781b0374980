import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Difficulty from "../../src/data/Difficulty.ts"

const logits = fc.array(fc.double({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 60 })
const logSoftmax = (row: ReadonlyArray<number>) => {
  const peak = Math.max(...row)
  const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x - peak), 0)) + peak
  return row.map((x) => x - total)
}
const raw16 = Difficulty.topK(16, { renormalised: false })

describe("entropy", () => {
  // numpy: -sum p ln p of softmax(arange(20) / 4), of its 16 largest, and -sum p ln p over these 16.
  it("agrees with numpy on a ramp of logits", () => {
    const row = logSoftmax(Array.from({ length: 20 }, (_, i) => i / 4))
    expect(Difficulty.entropy(row, Difficulty.full)).toBeCloseTo(2.348215441511972, 10)
    expect(Difficulty.entropy(row, Difficulty.top16)).toBeCloseTo(2.2957795772119987, 10)
    expect(Difficulty.entropy(row, raw16)).toBeCloseTo(2.280607471831746, 10)
  })

  it("of a uniform distribution over n is ln n, over its top k ln k, and not renormalised k/n ln n", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 500 }), (n, k) => {
        const row = new Float64Array(n).fill(-Math.log(n))
        const top = Math.min(k, n)
        expect(Difficulty.entropy(row, Difficulty.full)).toBeCloseTo(Math.log(n), 9)
        expect(Difficulty.entropy(row, Difficulty.topK(k, { renormalised: true }))).toBeCloseTo(Math.log(top), 9)
        const raw = Difficulty.entropy(row, Difficulty.topK(k, { renormalised: false }))
        expect(raw).toBeCloseTo((top / n) * Math.log(n), 9)
      })
    )
  })

  it("of the top k is that of the k largest alone, in any order of the vocabulary", () => {
    fc.assert(
      fc.property(logits, fc.integer({ min: 1, max: 20 }), (logits, k) => {
        const row = logSoftmax(logits)
        const renormalised = logSoftmax(row.toSorted((a, b) => b - a).slice(0, k))
        const expected = Difficulty.entropy(renormalised, Difficulty.full)
        expect(Difficulty.entropy(row, Difficulty.topK(k, { renormalised: true }))).toBeCloseTo(expected, 9)
        expect(Difficulty.entropy(row.toReversed(), Difficulty.topK(k, { renormalised: true }))).toBeCloseTo(
          expected,
          9
        )
      })
    )
  })

  it("of a certain distribution is 0, also where the others have probability 0", () => {
    for (const kind of [Difficulty.full, Difficulty.top16, raw16]) {
      expect(Difficulty.entropy([0, -Infinity, -Infinity], kind)).toBe(0)
    }
  })

  it("says which one it is", () => {
    expect(Difficulty.describe(Difficulty.top16)).toBe("entropy of the top 16 tokens, renormalised (nats)")
    expect(Difficulty.describe(raw16)).toBe("entropy of the top 16 tokens, not renormalised (nats)")
  })
})

describe("quantile", () => {
  // numpy.quantile([3, 1, 4, 1, 5, 9, 2, 6], q)
  it("agrees with numpy", () => {
    const values = [3, 1, 4, 1, 5, 9, 2, 6]
    expect([0, 0.1, 0.5, 0.8, 1].map((q) => Difficulty.quantile(values, q))).toEqual([
      1.0, 1.0, 3.5, 5.6000000000000005, 9.0
    ])
  })

  it("leaves about that share of the values below it", () => {
    fc.assert(
      fc.property(logits, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
        const threshold = Difficulty.quantile(values, q)
        const below = values.filter((value) => value < threshold).length
        expect(below).toBeLessThanOrEqual(Math.ceil(q * (values.length - 1)))
      })
    )
  })

  it("refuses no values and a share outside 0 .. 1", () => {
    expect(() => Difficulty.quantile([], 0.5)).toThrow("the quantile of no values")
    expect(() => Difficulty.quantile([1], 1.5)).toThrow("a quantile lies in 0 .. 1, not 1.5")
  })
})

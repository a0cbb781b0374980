import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { meanInterval, pairedDifference, type Sample } from "../../src/evaluation/bootstrap.ts"
import { normals, uniforms } from "../../src/random/draw.ts"

const plain = (values: ArrayLike<number>): ReadonlyArray<Sample> =>
  Array.from(values, (value, i) => ({ cluster: `${i}`, value }))

describe("the bootstrap", () => {
  test("has the width that the normal approximation gives, where that holds", () => {
    const values = normals(1, ["test"], 2000)
    const { estimate, low, high, count, clusters } = meanInterval(plain(values), { seed: 3, resamples: 2000 })
    const mean = values.reduce((a, b) => a + b, 0) / 2000
    const standardError = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 2000 / 2000)
    expect(estimate).toBeCloseTo(mean, 10)
    expect((high - low) / (2 * 1.96 * standardError)).toBeCloseTo(1, 1)
    expect([count, clusters]).toEqual([2000, 2000])
  })

  test("covers the truth about as often as it says", () => {
    let covered = 0
    for (let trial = 0; trial < 300; trial++) {
      const hits = Array.from(uniforms(trial, ["coverage"], 60), (u) => (u < 0.4 ? 1 : 0))
      const { low, high } = meanInterval(plain(hits), { seed: trial, resamples: 300 })
      if (low <= 0.4 && 0.4 <= high) covered++
    }
    expect(covered / 300).toBeGreaterThan(0.9)
    expect(covered / 300).toBeLessThan(0.99)
  })

  test("is wider when positions of a document agree: copies of one document are no new evidence", () => {
    const values = Array.from(uniforms(5, ["clusters"], 50), (u) => (u < 0.5 ? 1 : 0))
    const copied = values.flatMap((value, i) => Array.from({ length: 10 }, () => ({ cluster: `${i}`, value })))
    const once = meanInterval(plain(values), { seed: 1 })
    const clustered = meanInterval(copied, { seed: 1 })
    const naive = meanInterval(plain(copied.map(({ value }) => value)), { seed: 1 })
    expect([clustered.low, clustered.high]).toEqual([once.low, once.high])
    expect((clustered.high - clustered.low) / (naive.high - naive.low)).toBeGreaterThan(2.5)
    expect([clustered.count, clustered.clusters]).toEqual([500, 50])
  })

  test("gives the same interval for the same seed and another for another", () => {
    const samples = plain(normals(2, ["seeds"], 40))
    expect(meanInterval(samples, { seed: 1 })).toEqual(meanInterval(samples, { seed: 1 }))
    expect(meanInterval(samples, { seed: 1 }).low).not.toBe(meanInterval(samples, { seed: 2 }).low)
  })

  test("moves and scales with the values, and keeps the estimate inside for equal clusters", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 1, maxLength: 12 }), (values) => {
        const base = meanInterval(plain(values), { seed: 9, resamples: 200 })
        const moved = meanInterval(plain(values.map((v) => 2 * v + 3)), { seed: 9, resamples: 200 })
        expect(moved.low).toBeCloseTo(2 * base.low + 3, 9)
        expect(moved.high).toBeCloseTo(2 * base.high + 3, 9)
        expect(base.low).toBeLessThanOrEqual(base.high)
        expect(base.low).toBeGreaterThanOrEqual(Math.min(...values))
        expect(base.high).toBeLessThanOrEqual(Math.max(...values))
      })
    )
  })

  test("narrows when documents pair up, and is zero between an arm and itself", () => {
    const difficulty = normals(4, ["difficulty"], 60)
    const noise = normals(5, ["noise"], 120)
    const a = plain(Array.from(difficulty, (d, i) => d + 0.1 * noise[i]))
    const b = plain(Array.from(difficulty, (d, i) => d - 0.3 + 0.1 * noise[60 + i]))
    const paired = pairedDifference(a, b, { seed: 1 })
    const alone = meanInterval(a, { seed: 1 })
    expect(paired.estimate).toBeCloseTo(0.3, 1)
    expect(paired.high - paired.low).toBeLessThan((alone.high - alone.low) / 3)
    expect(pairedDifference(a, a, { seed: 1 })).toMatchObject({ estimate: 0, low: 0, high: 0 })
  })

  test("pairs arms that cover different positions of different documents", () => {
    const a = [
      { cluster: "x", value: 1 },
      { cluster: "x", value: 0 },
      { cluster: "y", value: 1 }
    ]
    const b = [
      { cluster: "y", value: 0 },
      { cluster: "z", value: 1 }
    ]
    const { estimate, low, high, clusters } = pairedDifference(a, b, { seed: 1 })
    expect(estimate).toBeCloseTo(2 / 3 - 1 / 2, 12)
    expect(clusters).toBe(3)
    expect([low, high].every(Number.isFinite)).toBe(true)
  })

  test("says nothing about nothing", () => {
    expect(meanInterval([], { seed: 1 })).toEqual({ estimate: NaN, low: NaN, high: NaN, count: 0, clusters: 0 })
  })
})

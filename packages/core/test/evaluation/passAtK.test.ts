import { expect, test } from "vitest"
import * as fc from "fast-check"
import { passAtK } from "../../src/evaluation/passAtK.ts"

/** All ways to choose k of the indices below n. */
const subsets = (n: number, k: number): ReadonlyArray<ReadonlyArray<number>> => {
  if (k === 0) return [[]]
  if (n < k) return []
  return [...subsets(n - 1, k), ...subsets(n - 1, k - 1).map((rest) => [...rest, n - 1])]
}

test("pass@k is the share of draws of k that hold a right sample", () => {
  for (let n = 1; n <= 7; n++) {
    for (let right = 0; right <= n; right++) {
      for (let k = 1; k <= n; k++) {
        const draws = subsets(n, k)
        const passing = draws.filter((draw) => draw.some((sample) => sample < right))
        expect(passAtK(n, right, k)).toBeCloseTo(passing.length / draws.length, 12)
      }
    }
  }
})

test("pass@1 is the share of right samples, and pass@k grows with k and with the right ones", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 200 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (n, share) => {
      const right = Math.floor(share * n)
      expect(passAtK(n, right, 1)).toBeCloseTo(right / n, 12)
      for (let k = 1; k < n; k++) {
        expect(passAtK(n, right, k + 1)).toBeGreaterThanOrEqual(passAtK(n, right, k) - 1e-12)
        expect(passAtK(n, right + 1, k)).toBeGreaterThanOrEqual(passAtK(n, right, k) - 1e-12)
      }
    }),
    { numRuns: 30 }
  )
})

test("pass@k refuses counts that cannot be", () => {
  expect(() => passAtK(4, 5, 1)).toThrow(/needs 0 <= right <= samples/)
  expect(() => passAtK(4, 2, 5)).toThrow("pass@5 of 4 samples, 2 right")
  expect(() => passAtK(4, 2, 0)).toThrow(RangeError)
  expect(() => passAtK(4, 1.5, 1)).toThrow(RangeError)
})

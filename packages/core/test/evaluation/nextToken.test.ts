import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { accuracyTable, type PositionRecord } from "../../src/evaluation/nextToken.ts"

const record = (
  documentId: string,
  entropy: number,
  correct: boolean,
  ...tags: ReadonlyArray<string>
): PositionRecord => ({
  documentId,
  entropy,
  correct,
  tags
})

const records = [
  record("a", 0.1, true),
  record("a", 0.5, true),
  record("a", 0.7, false, "computed"),
  record("b", 1.2, true, "computed", "four moves"),
  record("b", 1.5, false, "computed"),
  record("c", 2.5, false)
]

const brief = (rows: ReadonlyArray<{ readonly name: string; readonly count: number; readonly estimate: number }>) =>
  rows.map(({ name, count, estimate }) => [name, count, Number(estimate.toFixed(3))])

describe("the accuracy table", () => {
  const table = accuracyTable(records, { seed: 1 })

  test("nests the paper's splits: each holds the next, and an entropy on a threshold is not above it", () => {
    expect(brief(table.nested)).toEqual([
      ["entropy > 0.5", 4, 0.25],
      ["entropy > 1", 3, 0.333],
      ["entropy > 1.5", 1, 0]
    ])
  })

  test("has disjoint bins that make up the whole", () => {
    expect(brief(table.disjoint)).toEqual([
      ["entropy <= 0.5", 2, 1],
      ["0.5 < entropy <= 1", 1, 0],
      ["1 < entropy <= 1.5", 2, 0.5],
      ["entropy > 1.5", 1, 0]
    ])
    expect(brief([table.all])).toEqual([["all", 6, 0.5]])
  })

  test("has a row per tag", () => {
    expect(brief(table.tags)).toEqual([
      ["computed", 3, 0.333],
      ["four moves", 1, 1]
    ])
  })

  test("counts documents as the clusters of its intervals", () => {
    // a: 2 of 3, b: 1 of 2, c: 0 of 1. One resample in 27 is all a, one is all c: both beyond 2.5 %.
    expect([table.all.clusters, table.all.low, table.all.high]).toEqual([3, 0, 2 / 3])
  })

  test("loses no position and counts none twice, whatever the entropies and thresholds", () => {
    const any = fc.record({
      documentId: fc.constantFrom("a", "b", "c"),
      entropy: fc.oneof(fc.constantFrom(0, 0.5, 1, 1.5), fc.double({ min: 0, max: 12, noNaN: true })),
      correct: fc.boolean(),
      tags: fc.constant([])
    })
    fc.assert(
      fc.property(fc.array(any, { maxLength: 30 }), (records) => {
        const { all, nested, disjoint } = accuracyTable(records, { seed: 1, resamples: 20 })
        expect(all.count).toBe(records.length)
        expect(disjoint.reduce((sum, { count }) => sum + count, 0)).toBe(records.length)
        nested.forEach((row, i) =>
          expect(row.count).toBe(disjoint.slice(i + 1).reduce((sum, { count }) => sum + count, 0))
        )
      })
    )
  })
})

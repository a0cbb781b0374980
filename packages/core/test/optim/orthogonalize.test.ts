import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { orthogonalize } from "../../src/optim/orthogonalize.ts"
import { normals } from "../../src/random/draw.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, float } from "../model/numbers.ts"

type Matrix = ReadonlyArray<ReadonlyArray<number>>

const dot = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) => a.reduce((sum, x, i) => sum + x * b[i], 0)
const transposed = (rows: Matrix): Matrix => rows[0].map((_, column) => rows.map((row) => row[column]))
const times = (a: Matrix, b: Matrix): Matrix => a.map((row) => transposed(b).map((column) => dot(row, column)))

/** Singular values by one-sided Jacobi rotations: the rows are turned until they are orthogonal to each other. */
const singularValues = (matrix: Matrix): ReadonlyArray<number> => {
  const rows = (matrix.length > matrix[0].length ? transposed(matrix) : matrix).map((row) => [...row])
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let i = 0; i < rows.length; i++) {
      for (let j = i + 1; j < rows.length; j++) {
        const between = dot(rows[i], rows[j])
        if (Math.abs(between) < 1e-14) continue
        const angle = 0.5 * Math.atan2(2 * between, dot(rows[i], rows[i]) - dot(rows[j], rows[j]))
        const [c, s] = [Math.cos(angle), Math.sin(angle)]
        const turned = rows[i].map((x, k) => [c * x + s * rows[j][k], c * rows[j][k] - s * x])
        rows[i] = turned.map(([x]) => x)
        rows[j] = turned.map(([, y]) => y)
      }
    }
  }
  return rows.map((row) => Math.sqrt(dot(row, row)))
}

const chunked = (data: ArrayLike<number>, columns: number): Matrix =>
  Array.from({ length: data.length / columns }, (_, row) =>
    Array.from({ length: columns }, (_, column) => data[row * columns + column])
  )

const run = (matrix: Matrix): Matrix => {
  const [rows, columns] = [matrix.length, matrix[0].length]
  const given = float([rows, columns], matrix.flat())
  const { result } = compute((inputs: { matrix: Tensor }) => ({ result: orthogonalize(inputs.matrix) }), {
    matrix: given
  })
  expect(result.shape).toEqual([rows, columns])
  return chunked(result.data, columns)
}

const matrices = fc
  .record({
    rows: fc.integer({ min: 1, max: 9 }),
    columns: fc.integer({ min: 1, max: 9 }),
    seed: fc.nat(1e6),
    scale: fc.constantFrom(1e-3, 1, 1e3)
  })
  .map(({ rows, columns, seed, scale }) =>
    chunked(
      Float64Array.from(normals(seed, ["matrix"], rows * columns), (x) => x * scale),
      columns
    )
  )

describe("orthogonalize", () => {
  it("finds singular values that are known", () => {
    expect(
      singularValues([
        [3, 0],
        [0, -2]
      ]).toSorted()
    ).toEqual([2, 3])
    const [small, large] = singularValues([
      [1, 2],
      [3, 4]
    ]).toSorted((a, b) => a - b)
    expect([small, large]).toEqual([expect.closeTo(0.3659662, 6), expect.closeTo(5.4649857, 6)])
  })

  it("pulls all singular values that are not tiny near 1, whatever the scale", () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const before = singularValues(matrix)
        const norm = Math.hypot(...before)
        fc.pre(before.every((value) => value > 0.011 * norm))
        for (const value of singularValues(run(matrix))) {
          expect(value).toBeGreaterThan(0.67)
          expect(value).toBeLessThan(1.15)
        }
      })
    )
  })

  it("keeps the singular vectors: matrixᵀ times the result is symmetric and positive", () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const product = times(transposed(matrix), run(matrix))
        const largest = Math.max(...product.flat().map(Math.abs))
        product.forEach((row, i) => {
          row.forEach((value, j) => expect(Math.abs(value - product[j][i])).toBeLessThan(1e-6 * largest))
          expect(row[i]).toBeGreaterThanOrEqual(-1e-9 * largest)
        })
      })
    )
  })

  it("gives zeros for zeros", () => {
    expect(
      run([
        [0, 0],
        [0, 0]
      ])
        .flat()
        .every((x) => x === 0)
    ).toBe(true)
  })
})

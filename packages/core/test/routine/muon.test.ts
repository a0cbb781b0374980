import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Result } from "effect"
import { presetConfig } from "../../src/model/presets.ts"
import { weightShapes } from "../../src/model/weights.ts"
import { parametersOf } from "../../src/model/parameters.ts"
import { muonApplies, muonApply, muonDirection, newtonSchulz } from "../../src/routine/muon.ts"
import { normals } from "../../src/random/draw.ts"
import { familyGoldens, familyModel } from "../model/familyGoldens.ts"

type Matrix = ReadonlyArray<ReadonlyArray<number>>

const transpose = (a: Matrix): Matrix => a[0].map((_, j) => a.map((row) => row[j]))
const multiply = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)))
const combine = (x: number, a: Matrix, y: number, b: Matrix): Matrix =>
  a.map((row, i) => row.map((value, j) => x * value + y * b[i][j]))

/** Newton-Schulz in float64, as its formula stands in muon.ts. */
const orthogonalize = (u: Matrix): Matrix => {
  if (u.length > u[0].length) return transpose(orthogonalize(transpose(u)))
  const [a, b, c] = newtonSchulz.coefficients
  const norm = Math.hypot(...u.flat()) + newtonSchulz.eps
  let x: Matrix = u.map((row) => row.map((value) => value / norm))
  for (let step = 0; step < newtonSchulz.steps; step++) {
    const gram = multiply(x, transpose(x))
    x = combine(1, multiply(combine(b, gram, c, multiply(gram, gram)), x), a, x)
  }
  return x
}

/** Singular values by one-sided Jacobi rotations: rows are turned in pairs until all are orthogonal. */
const singularValues = (matrix: Matrix): ReadonlyArray<number> => {
  const rows = (matrix.length > matrix[0].length ? transpose(matrix) : matrix).map((row) => [...row])
  const dot = (a: ReadonlyArray<number>, b: ReadonlyArray<number>) => a.reduce((sum, x, i) => sum + x * b[i], 0)
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < rows.length; p++) {
      for (let q = p + 1; q < rows.length; q++) {
        const angle = 0.5 * Math.atan2(2 * dot(rows[p], rows[q]), dot(rows[p], rows[p]) - dot(rows[q], rows[q]))
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
        const [x, y] = [rows[p], rows[q]]
        rows[p] = x.map((value, i) => cos * value + sin * y[i])
        rows[q] = x.map((value, i) => cos * y[i] - sin * value)
      }
    }
  }
  return rows.map((row) => Math.hypot(...row))
}

const gaussian = (seed: number, rows: number, columns: number): Matrix => {
  const values = normals(seed, ["muon"], rows * columns)
  return Array.from({ length: rows }, (_, i) => [...values.subarray(i * columns, (i + 1) * columns)])
}

describe("Newton-Schulz with these coefficients", () => {
  it("pulls the singular values of a matrix near 1, whatever its shape", () => {
    const side = fc.integer({ min: 1, max: 12 })
    fc.assert(
      fc.property(fc.nat(), side, side, (seed, rows, columns) => {
        const u = gaussian(seed, rows, columns)
        const before = singularValues(u)
        const total = Math.hypot(...before)
        const after = singularValues(orthogonalize(u))
        // Five steps are enough for singular values from 0.01 of the norm on.
        if (Math.min(...before) / total > 0.01) expect(Math.min(...after)).toBeGreaterThan(0.65)
        expect(Math.max(...after)).toBeLessThan(1.25)
      })
    )
  })

  it("keeps the directions: a diagonal stays diagonal", () => {
    const out = orthogonalize([
      [3, 0, 0],
      [0, 0.5, 0]
    ])
    expect([out[0][1], out[0][2], out[1][0], out[1][2]]).toEqual([0, 0, 0, 0])
    expect(out[0][0]).toBeGreaterThan(0.65)
    expect(out[1][1]).toBeGreaterThan(0.65)
  })
})

describe("Muon", () => {
  it("applies to the matrices inside the layers only", () => {
    const config = Result.getOrThrow(
      presetConfig("nano", { vocabSize: 9, bos: { _tag: "none" }, eos: { _tag: "none" } })
    )
    const shapes = weightShapes({ ...config, tieWordEmbeddings: false })
    const applied = [...shapes].filter(([name, shape]) => muonApplies(name, shape)).map(([name]) => name)
    expect(applied.length).toBe(2 * 7)
    expect(applied.every((name) => name.endsWith("_proj.weight"))).toBe(true)
  })

  it.each(familyGoldens)("applies in $name to what stands inside the layers and multiplies", (golden) => {
    for (const { name, shape, role } of parametersOf(familyModel(golden).config)) {
      expect(muonApplies(name, shape), name).toBe(role === "matrix" || role === "residual")
    }
  })

  // torch 2.15: torch.optim.Muon(lr=0.02, momentum=0.95, weight_decay=0.1), float64, its Newton-Schulz replaced by identity
  const golden = [
    [
      true,
      [
        0.992843430677995, 1.9900559893041276, 2.989561157820494, 3.979646872051862, 4.978641141776687,
        5.971306042134566, 6.963970942492447, 7.9760890575075525
      ]
    ],
    [
      false,
      [
        0.9943142976356767, 1.9911447640415274, 2.9885997471565218, 3.9814998312298258, 4.979312893218814,
        5.972915558589904, 6.9665182239609935, 7.9735417760390055
      ]
    ]
  ] as const
  it.each(golden)("moves as torch.optim.Muon around the orthogonalisation, nesterov %s", (nesterov, expected) => {
    const param = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)
    const buffer = new Float32Array(8)
    const direction = new Float32Array(8)
    for (const grad of [
      [0.1, -0.2, 0.3, 0.4, 0, 1, 2, -2],
      [1, 1, -1, 1, 0.5, 0.25, 0, 0]
    ]) {
      muonDirection(Float32Array.from(grad), buffer, direction, { momentum: 0.95, nesterov }, 1)
      muonApply(param, direction, [4, 2], { learningRate: 0.02, weightDecay: 0.1 })
    }
    expected.forEach((value, i) => expect(Math.abs(param[i] / value - 1)).toBeLessThan(2e-7))
    const momentum = [0.05475, 0.0405, -0.03575, 0.069, 0.025, 0.06, 0.095, -0.095]
    momentum.forEach((value, i) => expect(buffer[i]).toBeCloseTo(value, 7))
  })

  it("refuses lengths that do not fit", () => {
    const [a, b] = [new Float32Array(4), new Float32Array(3)]
    expect(() => muonDirection(a, b, a, { momentum: 0.9, nesterov: true }, 1)).toThrow(/equal lengths: 4, 3, 4/)
    expect(() => muonApply(a, a, [2, 3], { learningRate: 1, weightDecay: 0 })).toThrow(/matrices of 2 x 3/)
  })
})

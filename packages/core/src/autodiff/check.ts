import { normals } from "../random/draw.ts"
import { record } from "../tensor/Graph.ts"
import type { ReferenceValue } from "../tensor/Reference.ts"
import { evaluate } from "../tensor/Reference.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { flatten } from "../tensor/Tree.ts"
import { gradients } from "./grad.ts"

export interface CheckSettings {
  /** Random directions to try, default 3. */
  readonly directions?: number
  /** Of the central differences, default 1e-5: their own error is then about 1e-10, relative to the third derivative. */
  readonly step?: number
  /** Of the directions, default 0. */
  readonly seed?: number
}

/** The derivative along one direction, from the rules and from differences. */
export interface DirectionalDerivative {
  readonly analytic: number
  readonly numeric: number
  /** |analytic - numeric|, relative to the gradient's norm along the direction (and 1e-4 of the loss, its noise) */
  readonly error: number
}

/**
 * Compares the gradient of a scalar program with central finite differences, both in float64 on the reference, along
 * random unit directions through all float inputs at once. The program must be smooth around `at`.
 */
export const checkGradient = (
  f: (inputs: ReadonlyArray<Tensor>) => Tensor,
  at: ReadonlyArray<ReferenceValue>,
  { directions = 3, step = 1e-5, seed = 0 }: CheckSettings = {}
): ReadonlyArray<DirectionalDerivative> => {
  const floats = at.flatMap(({ dtype }, i) => (dtype === "f32" ? [i] : []))
  const types = at.map(({ dtype, shape }) => ({ dtype, shape }))
  const loss = record((inputs) => f(flatten(inputs)), types).graph
  const both = record((inputs) => {
    const leaves = flatten(inputs)
    return [
      ...gradients(
        f(leaves),
        floats.map((i) => leaves[i])
      )
    ]
  }, types).graph

  const gradient = evaluate(both, at)
  const lossAt = (inputs: ReadonlyArray<ReferenceValue>): number => evaluate(loss, inputs)[0].data[0]
  const here = lossAt(at)

  return Array.from({ length: directions }, (_, direction) => {
    const along = unit(floats.map((i) => normals(seed, ["direction", direction, i], at[i].data.length)))
    const moved = (by: number) => floats.reduce((inputs, i, n) => inputs.with(i, move(at[i], along[n], by)), [...at])
    const numeric = (lossAt(moved(step)) - lossAt(moved(-step))) / (2 * step)
    const analytic = sum(gradient.map(({ data }, n) => dot(data, along[n])))
    const norm = Math.sqrt(sum(gradient.map(({ data }) => dot(data, data))))
    return { analytic, numeric, error: Math.abs(analytic - numeric) / (norm + 1e-4 * Math.abs(here) + 1e-9) }
  })
}

const move = (x: ReferenceValue, along: ArrayLike<number>, by: number): ReferenceValue => ({
  ...x,
  data: Float64Array.from(x.data, (value, i) => value + by * along[i])
})

const unit = (parts: ReadonlyArray<Float32Array>): ReadonlyArray<Float64Array> => {
  const norm = Math.sqrt(sum(parts.map((part) => dot(part, part))))
  return parts.map((part) => Float64Array.from(part, (x) => x / norm))
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let total = 0
  for (let i = 0; i < a.length; i++) total += a[i] * b[i]
  return total
}

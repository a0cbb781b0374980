import { stream, wordsOf } from "../random/draw.ts"
import type { Graph } from "./Graph.ts"
import type { Op } from "./Primitive.ts"
import { type Computed, compute, evaluate } from "./reference/evaluate.ts"
import type { ReferenceValue } from "./reference/ReferenceValue.ts"
import { expand } from "./simplify.ts"

/** Primitives whose float results are rounded. All others choose, move or compare, and are exact. */
const rounding: ReadonlySet<Op> = new Set<Op>([
  ...(["exp", "log", "sqrt", "rsqrt", "reciprocal", "tanh", "sigmoid", "sin", "cos"] as const),
  ...(["add", "sub", "mul", "div", "sum", "cumsum", "matmul", "scatterAdd"] as const)
])

/** Of bounded range, and computed to an absolute accuracy: onnxruntime's sigmoid(-8) has four digits right. */
const absolute: ReadonlySet<Op> = new Set<Op>(["sin", "cos", "tanh", "sigmoid"])

/** An output in float64, and per element how far from it rounding explains. */
export interface Explained {
  readonly exact: ReferenceValue
  /** Zero for integers and bools: they have to be equal. */
  readonly bounds: Float64Array
}

/**
 * What rounding explains, measured. Each rounding primitive may be off by `tolerance`, relative, in each of its inputs and in
 * its result (sin, cos, tanh, sigmoid: absolute in the result); the reference is evaluated `trials` times with such errors of
 * random sign, composites decomposed, and outputs may differ by twice the largest deviation seen there, plus once its mean over
 * the tensor. So sums over many terms, cancellation and large magnitudes get the room they need, and nothing else gets any.
 */
export const explainedByRounding = (
  graph: Graph,
  inputs: ReadonlyArray<ReferenceValue>,
  tolerance: number,
  trials: number
): ReadonlyArray<Explained> => {
  const exact = evaluate(graph, inputs)
  const small = expand(graph, new Set())
  const disturbed = Array.from({ length: trials }, (_, trial) => evaluate(small, inputs, disturb(tolerance, trial)))
  return exact.map((value, i) => ({
    exact: value,
    bounds: boundsOf(
      value,
      disturbed.map((values) => values[i])
    )
  }))
}

/** Some backends round the tiniest floats to zero. */
export const tiny = 1e-30

/** Whether a float is near enough. */
export const isExplained = (got: number, want: number, bound: number): boolean =>
  Object.is(got, want) || got === Math.fround(want) || Math.abs(got - want) <= bound

const boundsOf = (exact: ReferenceValue, disturbed: ReadonlyArray<ReferenceValue>): Float64Array => {
  const largest = new Float64Array(exact.data.length)
  if (exact.dtype !== "f32") return largest
  for (const { data } of disturbed) {
    for (let i = 0; i < largest.length; i++) largest[i] = Math.max(largest[i], Math.abs(data[i] - exact.data[i]))
  }
  const mean = largest.reduce((total, x) => total + x, 0) / largest.length
  return largest.map((x) => 2 * x + mean + tiny)
}

/** Computes as the reference does, but rounding primitives with errors of size `tolerance` and random sign. */
const disturb = (tolerance: number, trial: number): typeof compute => {
  let draws = 0
  const shake = (x: ReferenceValue, size: (value: number) => number): ReferenceValue => {
    if (x.dtype !== "f32") return x
    const words = wordsOf(stream(trial, [draws++]), x.data.length)
    const error = (value: number, i: number) => (words[i] & 1 ? tolerance : -tolerance) * size(value)
    return { ...x, data: Float64Array.from(x.data, (value, i) => value + error(value, i)) }
  }
  const relative = (value: number) => value
  return (node: Computed, inputs: ReadonlyArray<ReferenceValue>) => {
    if (!rounding.has(node.op)) return compute(node, inputs)
    const result = compute(
      node,
      inputs.map((input) => shake(input, relative))
    )
    return shake(result, absolute.has(node.op) ? () => 1 : relative)
  }
}

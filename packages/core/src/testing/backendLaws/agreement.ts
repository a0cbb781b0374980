import { stream, wordsOf } from "../../random/draw.ts"
import { Graph } from "../../tensor/Graph.ts"
import type { HostTensor } from "../../tensor/HostTensor.ts"
import type { Op } from "../../tensor/Primitive.ts"
import { type Computed, compute, evaluate } from "../../tensor/reference/evaluate.ts"
import { fromHost, type ReferenceValue } from "../../tensor/reference/ReferenceValue.ts"
import { sameShape, showType } from "../../tensor/Shape.ts"
import { expand } from "../../tensor/simplify.ts"

/** Primitives whose float results are rounded. All others choose, move or compare, and are exact. */
const rounding: ReadonlySet<Op> = new Set<Op>([
  ...(["exp", "log", "sqrt", "rsqrt", "reciprocal", "tanh", "sigmoid", "sin", "cos"] as const),
  ...(["add", "sub", "mul", "div", "sum", "cumsum", "matmul", "scatterAdd"] as const)
])

/** Of bounded range, and computed to an absolute accuracy: onnxruntime's sigmoid(-8) has four digits right. */
const absolute: ReadonlySet<Op> = new Set<Op>(["sin", "cos", "tanh", "sigmoid"])

const trials = 4

/**
 * What is wrong with a backend's outputs: types other than the graph's, integers or bools that are not equal, floats
 * further from the reference than rounding explains.
 *
 * What rounding explains is measured. Each rounding primitive may be off by `tolerance`, relative, in each of its inputs
 * and in its result (sin, cos, tanh, sigmoid: absolute in the result); the reference is evaluated a few times with such errors of random sign, composites decomposed, and
 * outputs may differ by twice the largest deviation seen there, plus once its mean over the tensor. So sums over many
 * terms, cancellation and large magnitudes get the room they need, and nothing else gets any.
 */
export const disagreement = (
  graph: Graph,
  inputs: ReadonlyArray<HostTensor>,
  outputs: ReadonlyArray<HostTensor>,
  tolerance: number
): string | undefined => {
  if (outputs.length !== graph.outputs.length) return `${graph.outputs.length} outputs expected, got ${outputs.length}`
  const given = inputs.map(fromHost)
  const exact = evaluate(graph, given)
  const small = expand(graph, new Set())
  const disturbed = Array.from({ length: trials }, (_, trial) => evaluate(small, given, disturb(tolerance, trial)))
  const found = outputs.flatMap((output, i) => {
    const bounds = boundsOf(
      exact[i],
      disturbed.map((values) => values[i])
    )
    return outputDisagreement(output, exact[i], bounds).map((problem) => `output ${i} ${problem}`)
  })
  if (found.length === 0) return undefined
  const values = inputs.map((value, i) => `  ${graph.inputs[i].node.op} ${i} ${show(value)}`)
  return [found.join("\n"), "of the program", Graph.print(graph), "on", ...values].join("\n")
}

const outputDisagreement = (
  output: HostTensor,
  exact: ReferenceValue,
  bounds: ArrayLike<number>
): ReadonlyArray<string> => {
  if (output.dtype !== exact.dtype || !sameShape(output.shape, exact.shape)) {
    return [`is ${showType(output)}, should be ${showType(exact)}`]
  }
  const at = exact.data.findIndex((want, i) => !agrees(output.data[i], want, bounds[i]))
  if (at < 0) return []
  const [got, want] = [output.data[at], exact.data[at]]
  const off = exact.dtype === "f32" ? `, off by ${Math.abs(got - want)} of at most ${bounds[at]}` : ""
  return [`differs at element ${at}: ${got}, should be ${want}${off}\n  got  ${show(output)}\n  want ${show(exact)}`]
}

const agrees = (got: number, want: number, bound: number): boolean =>
  Object.is(got, want) || got === Math.fround(want) || Math.abs(got - want) <= bound

const boundsOf = (exact: ReferenceValue, disturbed: ReadonlyArray<ReferenceValue>): Float64Array => {
  const largest = new Float64Array(exact.data.length)
  if (exact.dtype !== "f32") return largest
  for (const { data } of disturbed) {
    for (let i = 0; i < largest.length; i++) largest[i] = Math.max(largest[i], Math.abs(data[i] - exact.data[i]))
  }
  const mean = largest.reduce((total, x) => total + x, 0) / largest.length
  return largest.map((x) => 2 * x + mean + 1e-30) // some backends round the tiniest floats to zero
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

const shown = 64

const show = (value: HostTensor | ReferenceValue): string => {
  const numbers = Array.from(value.data.subarray(0, shown), (x) => String(x))
  return `${showType(value)} [${numbers.join(", ")}${value.data.length > shown ? ", …" : ""}]`
}

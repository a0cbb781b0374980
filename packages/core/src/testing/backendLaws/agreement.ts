import { Graph } from "../../tensor/Graph.ts"
import type { HostTensor } from "../../tensor/HostTensor.ts"
import { fromHost, type ReferenceValue } from "../../tensor/reference/ReferenceValue.ts"
import { explainedByRounding, isExplained } from "../../tensor/rounding.ts"
import { sameShape, showType } from "../../tensor/Shape.ts"

const trials = 4

/**
 * What is wrong with a backend's outputs: types other than the graph's, integers or bools that are not equal, floats
 * further from the reference than rounding explains (`explainedByRounding`).
 */
export const disagreement = (
  graph: Graph,
  inputs: ReadonlyArray<HostTensor>,
  outputs: ReadonlyArray<HostTensor>,
  tolerance: number
): string | undefined => {
  if (outputs.length !== graph.outputs.length) return `${graph.outputs.length} outputs expected, got ${outputs.length}`
  const explained = explainedByRounding(graph, inputs.map(fromHost), tolerance, trials)
  const found = outputs.flatMap((output, i) => {
    const { exact, bounds } = explained[i]
    return outputDisagreement(output, exact, bounds).map((problem) => `output ${i} ${problem}`)
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
  const at = exact.data.findIndex((want, i) => !isExplained(output.data[i], want, bounds[i]))
  if (at < 0) return []
  const [got, want] = [output.data[at], exact.data[at]]
  const off = exact.dtype === "f32" ? `, off by ${Math.abs(got - want)} of at most ${bounds[at]}` : ""
  return [`differs at element ${at}: ${got}, should be ${want}${off}\n  got  ${show(output)}\n  want ${show(exact)}`]
}

const shown = 64

const show = (value: HostTensor | ReferenceValue): string => {
  const numbers = Array.from(value.data.subarray(0, shown), (x) => String(x))
  return `${showType(value)} [${numbers.join(", ")}${value.data.length > shown ? ", …" : ""}]`
}

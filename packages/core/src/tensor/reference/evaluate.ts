import type { Graph } from "../Graph.ts"
import type { TensorType } from "../HostTensor.ts"
import type { Op } from "../Primitive.ts"
import { sameShape, showType } from "../Shape.ts"
import type { AnyNode, Tensor } from "../Tensor.ts"
import { compositeKernels } from "./composites.ts"
import { elementwise } from "./elementwise.ts"
import type { Kernel, Kernels } from "./Kernel.ts"
import { layout } from "./layout.ts"
import { products } from "./products.ts"
import { reductions } from "./reductions.ts"
import type { ReferenceValue } from "./ReferenceValue.ts"
import { filled } from "./ReferenceValue.ts"

/** Primitives that compute one value from values: all but inputs, which are given, and loops, which evaluate graphs. */
export type Computed = Exclude<AnyNode, { readonly op: "input" | "loop" }>

const kernels: Kernels<Computed["op"]> = { ...elementwise, ...layout, ...reductions, ...products, ...compositeKernels }

export const compute = (node: Computed, inputs: ReadonlyArray<ReferenceValue>): ReferenceValue => {
  // The node pairs op with params; the table is indexed by that op, which TypeScript cannot follow.
  const kernel = kernels[node.op] as Kernel<Op>
  return kernel(node.params, inputs, node.types[0])
}

/**
 * The outputs of a graph, in float64. Inputs in the order of the graph's. Throws RangeError, naming the primitive, for
 * an index out of range or a query that sees no key; TypeError for inputs of other types than the graph's.
 * `each` computes a node in another way, for tests that disturb it.
 */
export const evaluate = (
  graph: Graph,
  inputs: ReadonlyArray<ReferenceValue>,
  each: typeof compute = compute
): ReadonlyArray<ReferenceValue> => {
  const values = new Map<AnyNode, ReadonlyArray<ReferenceValue>>()
  const left = readers(graph)
  const read = ({ node, index }: Tensor): ReferenceValue => {
    const of = values.get(node)
    if (of === undefined) throw new Error(`${node.op} has no value yet`)
    return of[index]
  }
  graph.inputs.forEach(({ node, type }, i) => {
    requireType(type, inputs[i], i)
    values.set(node, [inputs[i]])
  })
  for (const node of graph.nodes) {
    values.set(node, run(node, node.inputs.map(read), each))
    for (const input of node.inputs) {
      const readersLeft = (left.get(input.node) ?? 0) - 1
      left.set(input.node, readersLeft)
      if (readersLeft === 0) values.delete(input.node) // a large graph's values would not all fit
    }
  }
  return graph.outputs.map(read)
}

const run = (node: AnyNode, inputs: ReadonlyArray<ReferenceValue>, each: typeof compute) => {
  if (node.op === "input") throw new Error(`${node.params.name} is not among the graph's inputs`)
  if (node.op === "loop") return runLoop(node.params, inputs, each)
  try {
    return [each(node, inputs)]
  } catch (error) {
    if (error instanceof RangeError) throw new RangeError(`${node.op}: ${error.message}`, { cause: error })
    throw error
  }
}

const runLoop = (
  { body, carried, maxSteps }: { readonly body: Graph; readonly carried: number; readonly maxSteps: number },
  inputs: ReadonlyArray<ReferenceValue>,
  each: typeof compute
): ReadonlyArray<ReferenceValue> => {
  const fixed = inputs.slice(carried)
  let state = inputs.slice(0, carried)
  for (let step = 0; step < maxSteps; step++) {
    const at = filled("i32", [], (into) => into.fill(step))
    const [continues, ...next] = evaluate(body, [at, ...state, ...fixed], each)
    state = next
    if (continues.data[0] === 0) break
  }
  return state
}

/** How often each node is read, outputs of the graph counted too. */
const readers = (graph: Graph): Map<AnyNode, number> => {
  const count = new Map<AnyNode, number>()
  for (const { node } of [...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs]) {
    count.set(node, (count.get(node) ?? 0) + 1)
  }
  return count
}

const requireType = (wanted: TensorType, given: ReferenceValue | undefined, i: number): void => {
  if (given === undefined) throw new TypeError(`input ${i} is missing: ${showType(wanted)}`)
  if (wanted.dtype !== given.dtype || !sameShape(wanted.shape, given.shape)) {
    throw new TypeError(`input ${i} is ${showType(given)}, the graph wants ${showType(wanted)}`)
  }
}

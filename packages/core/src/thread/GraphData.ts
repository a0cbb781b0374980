import type { Graph } from "../tensor/Graph.ts"
import type { Op, PrimitiveParams } from "../tensor/Primitive.ts"
import type { AnyNode } from "../tensor/Tensor.ts"
import { apply, only, Tensor } from "../tensor/Tensor.ts"

/** A graph as plain data that another thread can be sent: nodes by their place in the order of evaluation. */
export interface GraphData {
  readonly inputs: ReadonlyArray<PrimitiveParams["input"]>
  readonly nodes: ReadonlyArray<NodeData>
  readonly outputs: ReadonlyArray<TensorData>
}

interface NodeData {
  readonly op: Op
  /** As the primitive has them; the body of a loop is again a GraphData. */
  readonly params: object
  readonly inputs: ReadonlyArray<TensorData>
}

/** [place, output]: inputs of the graph have the first places, nodes the ones behind them. */
type TensorData = readonly [place: number, output: number]

export const encode = (graph: Graph): GraphData => {
  const places = new Map<AnyNode, number>()
  const place = ({ node, index }: Tensor): TensorData => {
    const at = places.get(node)
    if (at === undefined) throw new Error(`graph out of order at ${node.op}`)
    return [at, index]
  }
  const inputs = graph.inputs.map(({ node }) => {
    places.set(node, places.size)
    if (node.op !== "input") throw new Error(`${node.op} is no input`)
    return node.params
  })
  const nodes = graph.nodes.map((node): NodeData => {
    const read = node.inputs.map(place)
    places.set(node, places.size)
    const params = node.op === "loop" ? { ...node.params, body: encode(node.params.body) } : node.params
    return { op: node.op, params, inputs: read }
  })
  return { inputs, nodes, outputs: graph.outputs.map(place) }
}

/** The graph again: every primitive applied anew, so the types are inferred and not believed. */
export const decode = (data: GraphData): Graph => {
  const made: Array<ReadonlyArray<Tensor>> = []
  const at = ([place, output]: TensorData): Tensor => made[place][output]
  const inputs = data.inputs.map((params) => only("input", params))
  made.push(...inputs.map((input) => [input]))
  const nodes = data.nodes.map(({ op, params, inputs }) => {
    const own = op === "loop" ? { ...params, body: decode((params as { body: GraphData }).body) } : params // as `encode` wrote it
    // `encode` took op and params from one node, so they belong together.
    const outputs = apply(op, own as PrimitiveParams[Op], inputs.map(at))
    made.push(outputs)
    return outputs[0].node
  })
  return { inputs, nodes, outputs: data.outputs.map(at) }
}

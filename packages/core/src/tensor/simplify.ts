import { decompose } from "./decompose.ts"
import type { Graph } from "./Graph.ts"
import { rebuild, rewrite, showParams } from "./Graph.ts"
import type { Op, PrimitiveParams } from "./Primitive.ts"
import { isComposite } from "./Primitive.ts"
import { showType } from "./Shape.ts"
import type { AnyNode, Tensor } from "./Tensor.ts"

/**
 * The graph a backend lowers: composites that `native` does not list are replaced by their decompositions, in loop
 * bodies too, and equal nodes are made one.
 */
export const expand = (graph: Graph, native: ReadonlySet<Op>): Graph => {
  const due = (node: AnyNode) => isComposite(node.op) && !native.has(node.op)
  let expanded = graph
  while (expanded.nodes.some(due)) {
    expanded = rewrite(expanded, (node, inputs) => (due(node) ? [decomposed(node, inputs)] : rebuild(node, inputs)))
  }
  const bodies = rewrite(expanded, (node, inputs) =>
    node.op === "loop"
      ? rebuild({ ...node, params: { ...node.params, body: expand(node.params.body, native) } }, inputs)
      : rebuild(node, inputs)
  )
  return mergeEqual(bodies)
}

const decomposed = (node: AnyNode, inputs: ReadonlyArray<Tensor>): Tensor => {
  if (!isComposite(node.op)) throw new Error(`${node.op} has no decomposition`)
  // AnyNode pairs op with params; the table is indexed by that op, which TypeScript cannot follow.
  const entry = decompose[node.op] as (params: PrimitiveParams[Op], inputs: ReadonlyArray<Tensor>) => Tensor
  return entry(node.params, inputs)
}

/** Common subexpressions: nodes with the same op, params and inputs become one. */
export const mergeEqual = (graph: Graph): Graph => {
  const first = new Map<string, ReadonlyArray<Tensor>>()
  const names = new Map<AnyNode, number>()
  const name = ({ node, index }: Tensor): string => {
    if (!names.has(node)) names.set(node, names.size)
    return `${names.get(node)}.${index}`
  }
  return rewrite(graph, (node, inputs) => {
    if (node.op === "input") return rebuild(node, inputs)
    const key = [node.op, node.types.map(showType), showParams(node), ...inputs.map(name)].join(" ")
    const known = first.get(key)
    if (known !== undefined) return known
    const fresh = rebuild(node, inputs)
    first.set(key, fresh)
    return fresh
  })
}

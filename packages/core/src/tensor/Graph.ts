import { createHash } from "node:crypto"
import type { HostTensor } from "./HostTensor.ts"
import { showType } from "./Shape.ts"
import { ShapeError } from "./ShapeError.ts"
import type { AnyNode } from "./Tensor.ts"
import { only, Tensor } from "./Tensor.ts"
import type { TensorsOf, Tree, TypeTree } from "./Tree.ts"
import { flatten, paths, restore } from "./Tree.ts"

/**
 * A traced program: its inputs, its outputs, and between them the nodes in an order in which each comes after what it
 * reads. Nodes that no output needs are not part of it.
 */
export interface Graph {
  readonly inputs: ReadonlyArray<Tensor>
  readonly outputs: ReadonlyArray<Tensor>
  readonly nodes: ReadonlyArray<AnyNode>
}

/** A graph together with the trees of values that its function took and gave. */
export interface Traced {
  readonly graph: Graph
  readonly inputs: TypeTree
  readonly outputs: Tree<Tensor>
}

const make = (inputs: ReadonlyArray<Tensor>, outputs: ReadonlyArray<Tensor>): Graph => {
  const own = new Set(inputs.map((tensor) => tensor.node))
  const nodes = reachable(outputs)
  const foreign = nodes.find((node) => node.op === "input" && !own.has(node))
  if (foreign?.op === "input") {
    throw new ShapeError("trace", [foreign.params.type], `reads the input ${foreign.params.name} of another graph`)
  }
  return { inputs, outputs, nodes: nodes.filter((node) => node.op !== "input") }
}

/** Records `f`: a graph with one input per leaf of `inputs`, named by its path. */
const trace = <const S extends TypeTree, O>(f: (inputs: TensorsOf<S>) => O, inputs: S): Traced =>
  record(f as never, inputs) // TensorsOf<S> is the tree that `record` hands to it

/** `trace` where the trees are not known to the types. */
export const record = (f: (inputs: Tree<Tensor>) => Tree<Tensor>, inputs: TypeTree): Traced => {
  const leaves = paths(inputs).map(({ path, leaf }) => only("input", { name: path, type: leaf }))
  const outputs = f(restore(inputs, leaves))
  return { graph: make(leaves, flatten(outputs)), inputs, outputs }
}

/** Every node the tensors need, each after its inputs. Iterative: graphs are deeper than the stack. */
export const reachable = (tensors: ReadonlyArray<Tensor>): ReadonlyArray<AnyNode> => {
  const order: Array<AnyNode> = []
  const state = new Map<AnyNode, "open" | "done">()
  const stack = tensors.map((tensor) => tensor.node).toReversed()
  while (stack.length > 0) {
    const node = stack[stack.length - 1]
    if (state.has(node)) {
      stack.pop()
      if (state.get(node) === "open") {
        state.set(node, "done")
        order.push(node)
      }
      continue
    }
    state.set(node, "open")
    for (let i = node.inputs.length - 1; i >= 0; i--) {
      if (!state.has(node.inputs[i].node)) stack.push(node.inputs[i].node)
    }
  }
  return order
}

/** The graph in the manner of a jaxpr: one line a node. Large constants show their hash. */
const print = (graph: Graph): string => {
  const names = new Map<AnyNode, ReadonlyArray<string>>()
  const fresh = (node: AnyNode, count = node.types.length) => {
    const given = Array.from({ length: count }, (_, i) => letters(total + i))
    total += count
    names.set(node, given)
    return given
  }
  let total = 0
  const name = ({ node, index }: Tensor): string => names.get(node)?.[index] ?? "?"
  const typed = (node: AnyNode) =>
    fresh(node)
      .map((letter, i) => `${letter}:${showType(node.types[i])}`)
      .join(" ")
  const inputs = graph.inputs.map((tensor) => typed(tensor.node))
  const lines = graph.nodes.map((node) => {
    const reads = node.inputs.map(name).join(" ")
    return `${typed(node)} = ${node.op}${showParams(node)}${reads === "" ? "" : " " + reads}`
  })
  const body = lines.map((line, i) => `${i === 0 ? "  let " : "      "}${line.replaceAll("\n", "\n      ")}\n`)
  return `{ lambda ${inputs.join(" ")} .\n${body.join("")}  in (${graph.outputs.map(name).join(" ")}) }`
}

/** Hex SHA-256 of the printed graph with every constant: equal for equal programs, in any process. */
const hash = (graph: Graph): string => createHash("sha256").update(print(graph)).digest("hex")

/** The same program with some inputs fixed to values, so that a backend can prepare them (baked weights). */
const bake = (graph: Graph, values: ReadonlyMap<number, HostTensor>): Graph => {
  const replaced = new Map<AnyNode, ReadonlyArray<Tensor>>()
  for (const [index, value] of values) replaced.set(graph.inputs[index].node, [only("constant", { value })])
  return rewrite(graph, (node, inputs) => replaced.get(node) ?? rebuild(node, inputs))
}

/**
 * A graph with every node rewritten, in order: `f` sees a node and its new inputs and gives its new outputs. Inputs
 * that `f` replaces by something else leave the graph.
 */
export const rewrite = (
  graph: Graph,
  f: (node: AnyNode, inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>
): Graph => {
  const become = new Map<AnyNode, ReadonlyArray<Tensor>>()
  const renew = ({ node, index }: Tensor): Tensor => {
    const now = become.get(node)
    if (now === undefined) throw new Error(`graph out of order at ${node.op}`)
    return now[index]
  }
  for (const { node } of graph.inputs) become.set(node, f(node, []))
  for (const node of graph.nodes) become.set(node, f(node, node.inputs.map(renew)))
  const inputs = graph.inputs.map(renew).filter((tensor) => tensor.node.op === "input")
  return make(inputs, graph.outputs.map(renew))
}

/** The node over other inputs; itself where they are the same. */
export const rebuild = (node: AnyNode, inputs: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> => {
  const same = inputs.every((tensor, i) => tensor === node.inputs[i])
  // A node keeps its op and params, so the pairing that AnyNode states still holds.
  const next = same ? node : ({ ...node, inputs } as AnyNode)
  return node.types.map((_, index) => new Tensor(next, index))
}

const letters = (n: number): string =>
  (n >= 26 ? letters(Math.floor(n / 26) - 1) : "") + String.fromCharCode(97 + (n % 26))

/** The static parameters as text; equal text, equal parameters. */
export const showParams = (node: AnyNode): string => {
  if (node.op === "constant") return `[${showValue(node.params.value)}]`
  const entries = Object.entries<unknown>(node.params).filter(([key]) => key !== "name" && key !== "type")
  const show = (value: unknown): string => (isGraph(value) ? `\n${print(value)}` : JSON.stringify(value))
  return entries.length === 0 ? "" : `[${entries.map(([key, value]) => `${key}=${show(value)}`).join(" ")}]`
}

const isGraph = (value: unknown): value is Graph => typeof value === "object" && value !== null && "nodes" in value

const showNumber = (x: number): string => (Object.is(x, -0) ? "-0" : String(x))

const showValue = ({ data }: HostTensor): string =>
  data.length <= 8
    ? Array.from(data, showNumber).join(" ")
    : `sha256:${createHash("sha256")
        .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        .digest("hex")
        .slice(0, 16)}`

export const Graph = { make, trace, print, hash, bake }

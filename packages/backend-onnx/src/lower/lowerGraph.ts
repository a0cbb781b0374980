import type { AnyNode, Graph, Node, Tensor } from "@foretoken/core"
import { expand, isHalf } from "@foretoken/core"
import type { Device } from "../Device.ts"
import type { GraphProto, ModelProto } from "../onnxProto.ts"
import { attribute, dataType } from "../onnxProto.ts"
import { composite, native } from "./composite.ts"
import { elementwise } from "./elementwise.ts"
import type { Typed } from "./Emitter.ts"
import { Emitter, isEmpty, valueInfo } from "./Emitter.ts"
import { indexing } from "./indexing.ts"
import { layout } from "./layout.ts"
import { linear } from "./linear.ts"
import type { Lower } from "./Lower.ts"
import { reduce } from "./reduce.ts"

const table = { ...elementwise, ...layout, ...reduce, ...linear, ...indexing, ...composite }

/** A graph as an ONNX model, and which of its inputs and outputs the model knows under which name. */
export interface Lowered {
  readonly model: ModelProto
  /** By index; an input that is empty or that nothing reads is not fed. */
  readonly inputs: ReadonlyMap<number, string>
  /** By index; an output that is empty is not fetched. */
  readonly outputs: ReadonlyMap<number, string>
}

/** Why a graph cannot run on a device, as far as that is known beforehand. */
export const storageProblem = ({ inputs }: Graph, device: Device): string | undefined => {
  const kept = inputs.find(({ dtype }) => isHalf(dtype))
  if (kept === undefined || device === "cpu") return undefined
  return `keeps no ${kept.dtype} values on ${device}; give them as f32`
}

export const lowerGraph = (source: Graph, device: Device): Lowered => {
  const graph = expand(source, native(device))
  const emit = Emitter.forDevice(device)
  const read = new Set([...graph.nodes.flatMap((node) => node.inputs), ...graph.outputs].map(({ node }) => node))
  const fed = graph.inputs.flatMap((tensor, index) =>
    read.has(tensor.node) && !isEmpty(tensor) ? [{ index, tensor, name: emit.fresh() }] : []
  )
  const names: Names = new Map(fed.map(({ tensor, name }) => [tensor.node, [name]]))
  lowerNodes(emit, graph, names)

  const fetched = graph.outputs.flatMap((tensor, index) => (isEmpty(tensor) ? [] : [{ index, tensor }]))
  const main = emit.finish(
    "program",
    fed.map(({ tensor, name }) => valueInfo(name, tensor)),
    fetched.map(({ tensor }) => ({ name: nameOf(names, tensor), type: tensor }))
  )
  return {
    model: {
      irVersion: 10,
      producerName: "foretoken",
      opsetImport: [
        { domain: "", version: graph.inputs.some(({ dtype }) => isHalf(dtype)) ? 26 : 21 }, // BitCast came with 26
        { domain: "com.microsoft", version: 1 }
      ],
      graph: { ...main, initializer: emit.initializers }
    },
    inputs: new Map(fed.map(({ index, name }) => [index, name])),
    outputs: new Map(fetched.map(({ index }, i) => [index, main.output[i].name]))
  }
}

/** The names of a node's outputs. Empty tensors have none: nothing that is not empty itself needs them. */
type Names = Map<AnyNode, ReadonlyArray<string>>

const nameOf = (names: Names, { node, index }: Tensor): string => names.get(node)?.[index] ?? ""

const lowerNodes = (emit: Emitter, graph: Graph, names: Names): void => {
  for (const node of graph.nodes) {
    if (node.types.every(isEmpty)) continue
    const inputs = node.inputs.map((tensor) => nameOf(names, tensor))
    names.set(node, node.op === "loop" ? lowerLoop(emit, inputs, node) : [lowerOne(emit, inputs, node)])
  }
}

const lowerOne = (emit: Emitter, inputs: ReadonlyArray<string>, node: Exclude<AnyNode, Node<"loop">>): string => {
  if (!Object.hasOwn(table, node.op)) throw new Error(`no lowering for ${node.op}`)
  // AnyNode pairs op with params; the table is indexed by that op, which TypeScript cannot follow.
  const lower = table[node.op as keyof typeof table] as Lower<never>
  return lower(emit, inputs, node as never)
}

/**
 * ONNX Loop: (trip count, condition, …carried) with a body (iteration i64, condition, …carried) -> (condition, …carried).
 * The body reads the invariants, and every constant, from the graph around it.
 */
const lowerLoop = (emit: Emitter, inputs: ReadonlyArray<string>, node: Node<"loop">): ReadonlyArray<string> => {
  const { body, carried, maxSteps } = node.params
  const inner = emit.inner()
  const [step, ...slots] = body.inputs
  const kept = slots.slice(0, carried).flatMap((tensor, i) => (isEmpty(tensor) ? [] : [{ tensor, i }]))

  const iteration: Typed = { name: inner.fresh(), type: { dtype: "i64", shape: [] } }
  const condition: Typed = { name: inner.fresh(), type: { dtype: "bool", shape: [] } }
  const states = kept.map(({ tensor }): Typed => ({ name: inner.fresh(), type: tensor.type }))

  const names: Names = new Map(slots.map((tensor, i) => [tensor.node, [inputs[i]]]))
  kept.forEach(({ tensor }, k) => names.set(tensor.node, [states[k].name]))
  const counter = inner.node("Cast", [iteration.name], { attributes: [attribute.int("to", dataType.i32)] })
  names.set(step.node, [counter])
  lowerNodes(inner, body, names)

  const [continues, ...next] = body.outputs
  const outputs = [continues, ...kept.map(({ i }) => next[i])]
  const proto: GraphProto = inner.finish(
    "body",
    [iteration, condition, ...states].map(({ name, type }) => valueInfo(name, type)),
    outputs.map((tensor) => ({ name: nameOf(names, tensor), type: tensor.type }))
  )
  const given = [emit.int64Tensor([], [maxSteps]), "", ...kept.map(({ i }) => inputs[i])]
  const results = emit.nodes("Loop", given, kept.length, { attributes: [attribute.graph("body", proto)] })
  const all = Array.from({ length: carried }, () => "")
  kept.forEach(({ i }, k) => (all[i] = results[k]))
  return all
}

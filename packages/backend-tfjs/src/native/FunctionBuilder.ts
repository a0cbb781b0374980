import type { AnyNode, DType, Graph, Node, Op, Shape, Tensor, TensorType } from "@foretoken/core"
import { HostTensor } from "@foretoken/core"
import type { Attributes, FunctionDef, NodeDef } from "./savedModel.ts"
import { attribute, dataType } from "./savedModel.ts"

/** A value within a function, by the name that other nodes read it under: an argument, or `node:output:index`. */
export type Output = string

/** Writes the nodes of one primitive into a function; gives its outputs. */
export type Lowering<O extends Op> = (
  node: Node<O>,
  inputs: ReadonlyArray<Output>,
  into: FunctionBuilder
) => ReadonlyArray<Output>

/** Finds the lowering of any node. */
export type Lower = (node: AnyNode, inputs: ReadonlyArray<Output>, into: FunctionBuilder) => ReadonlyArray<Output>

/** Functions of one graph, the bodies of its loops among them. */
export interface Library {
  readonly lower: Lower
  readonly functions: Array<FunctionDef>
  /** How many loops have a name already. */
  loops: number
}

/** TensorFlow's kernels broadcast along this many axes at least. */
export const BROADCAST_AXES = 5

/** A TensorFlow function in the making. */
export class FunctionBuilder {
  readonly library: Library
  readonly #nodes: Array<NodeDef> = []
  readonly #constants = new Map<string, Output>()

  constructor(library: Library) {
    this.library = library
  }

  /** One node; gives the first of its outputs, which the definition of `op` calls `output`. */
  add(op: string, inputs: ReadonlyArray<Output>, attr: Attributes, output = "output"): Output {
    const name = `n${this.#nodes.length}`
    this.#nodes.push({ name, op, input: inputs, attr })
    return `${name}:${output}:0`
  }

  /** Values known by now; small equal ones become one node. */
  constant(value: HostTensor): Output {
    const make = () => this.add("Const", [], { dtype: attribute.type(value.dtype), value: attribute.tensor(value) })
    if (value.data.length > 16) return make()
    // Negative zero is another value than zero, and a string shows no difference.
    const key = `${value.dtype}[${value.shape}] ${Array.from(value.data, (x) => (Object.is(x, -0) ? "-0" : x)).join()}`
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const made = make()
    this.#constants.set(key, made)
    return made
  }

  scalar(dtype: DType, value: number): Output {
    return this.constant(HostTensor.make(dtype, [], [value]))
  }

  /** i32, such as a shape or axes */
  ints(values: ReadonlyArray<number>): Output {
    return this.constant(HostTensor.i32([values.length], values))
  }

  reshape(x: Output, dtype: DType, shape: Shape): Output {
    const attr = { T: attribute.type(dtype), Tshape: attribute.type("i32") }
    return this.add("Reshape", [x, this.ints(shape)], attr)
  }

  /** TensorFlow's kernel refuses many axes at once that alternate between stretched and whole: then one by one. */
  broadcastTo(x: Output, { dtype, shape: from }: TensorType, shape: Shape): Output {
    const attr = { T: attribute.type(dtype), Tidx: attribute.type("i32") }
    const to = (x: Output, shape: Shape) => this.add("BroadcastTo", [x, this.ints(shape)], attr)
    if (shape.length <= BROADCAST_AXES) return to(x, shape)
    let reached: Shape = [...shape.slice(from.length).map(() => 1), ...from]
    let stretched = this.reshape(x, dtype, reached)
    for (const [axis, extent] of shape.entries()) {
      if (reached[axis] === extent) continue
      reached = reached.with(axis, extent)
      stretched = to(stretched, reached)
    }
    return stretched
  }

  /** The nodes of a graph whose inputs are `inputs`; gives its outputs. */
  inline(graph: Graph, inputs: ReadonlyArray<Output>): ReadonlyArray<Output> {
    const made = new Map<AnyNode, ReadonlyArray<Output>>()
    graph.inputs.forEach(({ node }, i) => made.set(node, [inputs[i]]))
    const at = ({ node, index }: Tensor): Output => made.get(node)![index] // graphs list a node after its inputs
    for (const node of graph.nodes) made.set(node, this.library.lower(node, node.inputs.map(at), this))
    return graph.outputs.map(at)
  }

  /** Puts the function into the library. Its arguments are called `argument(0)`, `argument(1)`, … */
  finish(
    name: string,
    inputs: ReadonlyArray<TensorType>,
    outputs: ReadonlyArray<{ readonly dtype: DType; readonly from: Output }>
  ): void {
    const results = outputs.map(({ dtype, from }, i) => ({ name: `result${i}`, type: dataType[dtype], from }))
    this.library.functions.push({
      signature: {
        name,
        inputArg: inputs.map(({ dtype }, i) => ({ name: argument(i), type: dataType[dtype] })),
        outputArg: results.map(({ name, type }) => ({ name, type }))
      },
      nodeDef: this.#nodes,
      ret: Object.fromEntries(results.map(({ name, from }) => [name, from]))
    })
  }
}

export const argument = (index: number): Output => `argument${index}`

/** Of a node with a list of outputs, whose first `add` gave, another one. */
export const nth = (first: Output, index: number): Output => first.replace(/0$/, String(index))

import type { Graph } from "./Graph.ts"
import type { TensorType } from "./HostTensor.ts"
import { isHalf, sizeOf } from "./HostTensor.ts"
import type { Op } from "./Primitive.ts"
import type { AnyNode, Tensor } from "./Tensor.ts"

/** Bytes that a run of a graph takes. */
export interface Liveness {
  /** All inputs: they are there throughout. */
  readonly inputs: number
  /** The most that computed values take at one time, outputs among them: an output stays once it is there. */
  readonly peak: number
  /** All outputs that are no inputs. */
  readonly outputs: number
  /** All values that are computed, as if none of them ever went. */
  readonly all: number
}

/** Bytes of the elements of a value. */
export const bytesOf = ({ dtype, shape }: TensorType): number =>
  sizeOf(shape) * (dtype === "bool" ? 1 : isHalf(dtype) ? 2 : 4)

export const totalBytes = (types: Iterable<TensorType>): number =>
  Array.from(types, bytesOf).reduce((total, bytes) => total + bytes, 0)

/** Other shapes of the same memory. */
const views: ReadonlySet<Op> = new Set<Op>(["reshape", "stopGradient", "keep"])

/** Element by element: the result may take the place of an operand of its size that nobody needs any more. */
const elementwise: ReadonlySet<Op> = new Set<Op>(
  // oxfmt-ignore
  ["neg", "exp", "log", "sqrt", "rsqrt", "reciprocal", "tanh", "sigmoid", "sin", "cos", "abs", "not", "add", "sub", "mul",
    "div", "maximum", "minimum", "and", "or"]
)

/** Memory of a computed value, and of all views of it. */
interface Place {
  readonly bytes: number
  /** The node that reads it last, by its place in the graph; that of the graph's end if it is an output. */
  last: number
}

/**
 * Which values live when, if nodes run in their order: each from the node that computes it to the last that reads it. The
 * graph is taken as it stands: composites count as one step, so expand it as a backend would. A loop takes what its body
 * takes at most, beside what it carries.
 */
export const liveness = (graph: Graph): Liveness => {
  const { all, outputs, placeOf } = placesOf(graph)
  let [live, peak] = [0, 0]
  graph.nodes.forEach((node, at) => {
    const operands = new Set(node.inputs.flatMap((read) => placeOf(read) ?? []))
    const made = views.has(node.op) ? [] : node.types.flatMap((_, index) => placeOf({ node, index }) ?? [])
    const ending = [...operands].filter(({ last }) => last === at)
    const size = total(made)
    const replaced = elementwise.has(node.op) && ending.some(({ bytes }) => bytes === size) ? size : 0
    peak = Math.max(peak, live + size - replaced + inside(node).peak)
    live += size - total(ending) - total(made.filter(({ last }) => last === at))
  })
  return { inputs: totalBytes(graph.inputs.map(({ type }) => type)), peak, outputs, all }
}

/** Where each computed value lives, and until when. */
const placesOf = (graph: Graph) => {
  const places = new Map<AnyNode, ReadonlyArray<Place>>()
  const placeOf = ({ node, index }: Pick<Tensor, "node" | "index">) => places.get(node)?.[index]
  let all = 0
  graph.nodes.forEach((node, at) => {
    for (const read of node.inputs) {
      const place = placeOf(read)
      if (place !== undefined) place.last = at
    }
    if (views.has(node.op)) {
      const viewed = placeOf(node.inputs[0])
      places.set(node, viewed === undefined ? [] : [viewed])
    } else {
      const own = node.types.map((type): Place => ({ bytes: bytesOf(type), last: at }))
      places.set(node, own)
      all += total(own) + inside(node).all
    }
  })
  const outputs = new Set(graph.outputs.flatMap((output) => placeOf(output) ?? []))
  for (const place of outputs) place.last = graph.nodes.length
  return { all, outputs: total(outputs), placeOf }
}

const inside = (node: AnyNode): Pick<Liveness, "peak" | "all"> =>
  node.op === "loop" ? liveness(node.params.body) : { peak: 0, all: 0 }

const total = (places: Iterable<Place>): number =>
  Array.from(places, ({ bytes }) => bytes).reduce((sum, bytes) => sum + bytes, 0)

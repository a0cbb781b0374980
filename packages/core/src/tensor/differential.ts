/** One program on two backends, primitive by primitive: where do they part, and whose doing is it? */
import { Effect, Scope } from "effect"
import type { Backend, CompileError, ExecutionError, Program, Value } from "./Backend.ts"
import { Graph, rebuild, showParams } from "./Graph.ts"
import type { HostTensor } from "./HostTensor.ts"
import type { Op } from "./Primitive.ts"
import { composites } from "./Primitive.ts"
import { fromHost } from "./reference/ReferenceValue.ts"
import { explainedByRounding, isExplained, tiny } from "./rounding.ts"
import type { Explained } from "./rounding.ts"
import { showType } from "./Shape.ts"
import { expand } from "./simplify.ts"
import type { AnyNode } from "./Tensor.ts"
import { only, Tensor } from "./Tensor.ts"

type Service = (typeof Backend)["Service"]

/** How far a value is from what it should be. */
export interface Departure {
  /** The largest difference of an element from float64 on the same inputs. Infinite where a NaN stands on one side only. */
  readonly error: number
  /** The largest of difference / (what rounding explains there): above 1 the primitive is out of tolerance. */
  readonly ratio: number
}

/** What became of one primitive of the program. */
export interface OpDifference {
  /** Its place in the program, which is in an order in which each comes after what it reads. */
  readonly index: number
  readonly op: Op
  readonly type: string
  /** The inputs of the program that it reads, or those that were read last on the way to it. */
  readonly at: string
  /** The largest magnitude of its elements in float64. */
  readonly largest: number
  /** Of each backend by itself: both computed it from the same inputs, those that the first one had. */
  readonly own: readonly [Departure, Departure]
  /** The largest difference between the two whole runs: with what each has inherited. */
  readonly inherited: number
}

/**
 * The difference of two backends on a program, for every primitive of it whose output is fetched from both. The second backend
 * also computes each primitive from the inputs that the first one had: so its own error is told apart from inherited ones. Own
 * errors are those against float64, and the tolerance is what rounding explains when every rounded operation may be off by
 * `tolerance`. Fetching all values keeps a backend from fusing primitives: what only a fusion does is not seen.
 */
export const differences = (
  graph: Graph,
  inputs: ReadonlyArray<HostTensor>,
  [first, second]: readonly [Service, Service],
  tolerance: number,
  onProgress: (compared: number) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<ReadonlyArray<OpDifference>, CompileError | ExecutionError> =>
  Effect.gen(function* () {
    const whole = expand(graph, new Set<Op>(composites))
    const nodes = whole.nodes.filter(({ op }) => op !== "constant" && op !== "iota")
    const all = yield* Effect.forEach([first, second], (backend) => Effect.scoped(everything(backend, whole, inputs)))
    const alone = yield* loneRuns(second)
    const places = placesOf(whole)
    const found: Array<OpDifference> = []
    for (const [index, node] of nodes.entries()) {
      const given = node.inputs.map(({ node: read, index: output }) => valuesOf(all[0], read)[output])
      const lone = yield* alone(node, given)
      yield* onProgress(index)
      const explained = explainedByRounding(loneGraph(node), given.map(fromHost), tolerance, trials)
      const [mine, theirs] = [valuesOf(all[0], node), valuesOf(all[1], node)]
      found.push({
        index,
        op: node.op,
        type: node.types.map(showType).join(" "),
        at: places.get(node) ?? "",
        largest: Math.max(0, ...explained.map(({ exact }) => largestOf(exact.data))),
        own: [departure(explained, mine, tolerance), departure(explained, lone, tolerance)],
        inherited: Math.max(0, ...mine.map((value, i) => distance(value.data, theirs[i].data)))
      })
    }
    return found
  }).pipe(Effect.scoped)

/** The first primitive that either backend computes out of tolerance, and which of them (both: the first). */
export const firstDeparture = (
  found: ReadonlyArray<OpDifference>
): { readonly index: number; readonly backend: 0 | 1 } | undefined => {
  const departed = found.find(({ own }) => own.some(({ ratio }) => ratio > 1))
  return departed && { index: departed.index, backend: departed.own[0].ratio > 1 ? 0 : 1 }
}

const trials = 4

type Values = ReadonlyMap<AnyNode, ReadonlyArray<HostTensor>>

const valuesOf = (values: Values, node: AnyNode): ReadonlyArray<HostTensor> => {
  const found = values.get(node)
  if (found === undefined) throw new Error(`${node.op} has no value`)
  return found
}

/** The values of all nodes of a graph, inputs among them. */
const everything = (
  backend: Service,
  graph: Graph,
  inputs: ReadonlyArray<HostTensor>
): Effect.Effect<Values, CompileError | ExecutionError, Scope.Scope> =>
  Effect.gen(function* () {
    const outputs = graph.nodes.flatMap((node) => node.types.map((_, index) => new Tensor(node, index)))
    const program = yield* compiled(backend, Graph.make(graph.inputs, outputs), "all values")
    const values = onHost(yield* program.run(inputs))
    const known = new Map<AnyNode, ReadonlyArray<HostTensor>>(graph.inputs.map(({ node }, i) => [node, [inputs[i]]]))
    let at = 0
    for (const node of graph.nodes) {
      known.set(node, values.slice(at, at + node.types.length))
      at += node.types.length
    }
    return known
  })

/** Runs nodes on given values, each as a program of its own; equal ones on equal types are compiled once. */
const loneRuns = (backend: Service) =>
  Effect.map(Effect.scope, (scope) => {
    const programs = new Map<string, Program>()
    return Effect.fnUntraced(function* (node: AnyNode, given: ReadonlyArray<HostTensor>) {
      const key = [node.op, showParams(node), ...given.map(showType)].join(" ")
      const known = programs.get(key)
      const program = known ?? (yield* Scope.provide(compiled(backend, loneGraph(node), node.op), scope))
      programs.set(key, program)
      return yield* Effect.scoped(Effect.map(program.run(given), onHost))
    })
  })

const compiled = (backend: Service, graph: Graph, name: string) =>
  backend.compile(graph, { name, fetch: graph.outputs.map(() => "host" as const) })

const onHost = (values: ReadonlyArray<Value>): ReadonlyArray<HostTensor> =>
  values.map((value) => {
    if ("_tag" in value) throw new TypeError("an output that was fetched to the host is a buffer")
    return value
  })

/** A node alone, reading inputs of its own. */
const loneGraph = (node: AnyNode): Graph => {
  const inputs = node.inputs.map(({ type }, i) => only("input", { name: String(i), type }))
  return Graph.make(inputs, rebuild(node, inputs))
}

/** Where each node is: the inputs of the program that it reads, else the place of the first of what it reads that has one. */
const placesOf = (graph: Graph): ReadonlyMap<AnyNode, string> => {
  const names = new Map(graph.inputs.map(({ node }) => [node, node.op === "input" ? node.params.name : ""]))
  const places = new Map<AnyNode, string>()
  for (const node of graph.nodes) {
    const read = node.inputs.flatMap((input) => names.get(input.node) ?? [])
    const inherited = node.inputs.flatMap((input) => places.get(input.node) ?? [])
    const place = read.length > 0 ? read.join(", ") : inherited.at(0)
    if (place !== undefined) places.set(node, place)
  }
  return places
}

const departure = (
  explained: ReadonlyArray<Explained>,
  values: ReadonlyArray<HostTensor>,
  tolerance: number
): Departure => {
  let [error, ratio] = [0, 0]
  for (const [i, { exact, bounds }] of explained.entries()) {
    const { data } = values[i]
    for (let at = 0; at < data.length; at++) {
      const [got, want] = [data[at], exact.data[at]]
      // Where signs cancelled in every trial an element has no deviation of its own; its rounding is explained all the same.
      const bound = bounds[at] > tiny ? bounds[at] + tolerance * Math.abs(want) : bounds[at]
      const off = Object.is(got, want) ? 0 : Math.abs(got - want)
      error = Math.max(error, Number.isNaN(off) ? Infinity : off)
      if (!isExplained(got, want, bound)) ratio = Math.max(ratio, Number.isNaN(off) ? Infinity : off / bound)
      else if (bound > 0) ratio = Math.max(ratio, Math.min(1, off / bound))
    }
  }
  return { error, ratio }
}

/** The largest difference of two arrays; infinite where a NaN stands in one of them only. */
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let largest = 0
  for (let i = 0; i < a.length; i++) {
    const off = Object.is(a[i], b[i]) ? 0 : Math.abs(a[i] - b[i])
    largest = Math.max(largest, Number.isNaN(off) ? Infinity : off)
  }
  return largest
}

const largestOf = (data: ArrayLike<number>): number => {
  let largest = 0
  for (let i = 0; i < data.length; i++) largest = Math.max(largest, Math.abs(data[i]))
  return largest
}

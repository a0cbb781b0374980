import type { AnyNode, CompileError, CompileOptions, Fetch, Node, Program, Value } from "@foretoken/core"
import { Graph, HostTensor, Tensor } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

type Compile = (graph: Graph, options: CompileOptions) => Effect.Effect<Program, CompileError, Scope.Scope>

/**
 * Compiles graphs with loops by means of a `compile` for graphs without: the parts between loops and the body of each
 * loop become programs of their own, and the host runs them in turn. What passes from one to the next stays resident, so
 * a step of a loop moves a counter to the device and an answer back. Where loops run on the device's side of the bus
 * there is no need for this; onnxruntime runs its Loop on the cpu, and what is carried travels there and back every step.
 */
export const hostLoops =
  (compile: Compile): Compile =>
  (graph, options) =>
    graph.nodes.some(isLoop) ? compileStages(compile, graph, options) : compile(graph, options)

const isLoop = (node: AnyNode): node is Node<"loop"> => node.op === "loop"

const compileStages = Effect.fnUntraced(function* (
  compile: Compile,
  graph: Graph,
  options: CompileOptions
): Effect.fn.Return<Program, CompileError, Scope.Scope> {
  const levels = levelsOf(graph)
  const level = (node: AnyNode) => levels.get(node) ?? 0
  const last = Math.max(...levels.values())
  // Every stage reads from all that is known by then, and adds to it: the inputs first.
  const known = [...graph.inputs]
  const stages: Array<Program> = []
  for (let at = 0; at <= last; at++) {
    const loops = graph.nodes.filter(isLoop).filter((node) => level(node) === at)
    if (loops.length === 0) continue
    const passed = passedOn(graph, known, at, level)
    const name = `${options.name}, part ${stages.length}`
    stages.push(yield* compile(cut(graph, known, passed), { name, fetch: passed.map(() => "resident") }))
    known.push(...passed)
    for (const node of loops) {
      const places = node.inputs.map((tensor) => placeOf(known, tensor))
      stages.push(yield* compileLoop(compile, node, places, `${options.name}, loop`))
      known.push(...node.types.map((_, index) => new Tensor(node, index)))
    }
  }
  // Inputs come first among what is known, so that donations keep their numbers.
  const end = yield* compile(cut(graph, known, graph.outputs), options)

  const run = Effect.fnUntraced(function* (inputs: ReadonlyArray<Value>) {
    const outer = yield* Effect.scope
    const inTurn = Effect.gen(function* () {
      const values = [...inputs]
      for (const stage of stages) values.push(...(yield* stage.run(values)))
      return yield* Scope.provide(end.run(values), outer)
    })
    return yield* Effect.scoped(inTurn)
  })
  return { run }
})

/** How many loops, one after the other, a node waits for. */
const levelsOf = (graph: Graph): ReadonlyMap<AnyNode, number> => {
  const levels = new Map<AnyNode, number>()
  for (const node of graph.nodes) {
    const waits = node.inputs.map(({ node: read }) => (levels.get(read) ?? 0) + (isLoop(read) ? 1 : 0))
    levels.set(node, Math.max(0, ...waits))
  }
  return levels
}

/** What the nodes of a level must leave behind: all that its loops read, and what later levels read of its work. */
const passedOn = (
  graph: Graph,
  known: ReadonlyArray<Tensor>,
  at: number,
  level: (node: AnyNode) => number
): ReadonlyArray<Tensor> => {
  const found: Array<Tensor> = []
  const add = (tensor: Tensor) => {
    if (placeOf(known, tensor) === -1 && placeOf(found, tensor) === -1) found.push(tensor)
  }
  // Leaves (constants, counters) are made again where they are read.
  const isWork = ({ node }: Tensor) => node.inputs.length > 0 && !isLoop(node) && level(node) === at
  for (const node of graph.nodes) {
    if (isLoop(node) && level(node) === at) node.inputs.forEach(add)
    else if (level(node) > at || isLoop(node)) node.inputs.filter(isWork).forEach(add)
  }
  graph.outputs.filter(isWork).forEach(add)
  return found
}

const placeOf = (tensors: ReadonlyArray<Tensor>, { node, index }: Tensor): number =>
  tensors.findIndex((tensor) => tensor.node === node && tensor.index === index)

/** The part of a graph that gives `targets` from what is known: inputs as many as that, read or not. */
const cut = (graph: Graph, known: ReadonlyArray<Tensor>, targets: ReadonlyArray<Tensor>): Graph => {
  const inputs = known.map(({ type }, i) => {
    const params = { name: String(i), type }
    return new Tensor({ op: "input", params, inputs: [], types: [type] }, 0)
  })
  const renewed = new Map<AnyNode, AnyNode>()
  const renew = (tensor: Tensor): Tensor => {
    const place = placeOf(known, tensor)
    return place === -1 ? new Tensor(renewed.get(tensor.node) ?? tensor.node, tensor.index) : inputs[place]
  }
  const needed = new Set(targets.filter((tensor) => placeOf(known, tensor) === -1).map(({ node }) => node))
  for (const node of graph.nodes.toReversed()) {
    if (!needed.has(node)) continue
    for (const tensor of node.inputs) if (placeOf(known, tensor) === -1) needed.add(tensor.node)
  }
  for (const node of graph.nodes) {
    // A node keeps its op and params, so the pairing that AnyNode states still holds.
    if (needed.has(node)) renewed.set(node, { ...node, inputs: node.inputs.map(renew) } as AnyNode)
  }
  return Graph.make(inputs, targets.map(renew))
}

/** A loop as a program over all that is known, of which its inputs stand at `places`. Gives what it carries at the end. */
const compileLoop = Effect.fnUntraced(function* (
  compile: Compile,
  { params: { body, carried, maxSteps } }: Node<"loop">,
  places: ReadonlyArray<number>,
  name: string
): Effect.fn.Return<Program, CompileError, Scope.Scope> {
  const fetch = body.outputs.map((_, i): Fetch => (i === 0 ? "host" : "resident"))
  const program = yield* hostLoops(compile)(body, { name, fetch })

  const run = Effect.fnUntraced(function* (known: ReadonlyArray<Value>) {
    const outer = yield* Effect.scope
    const given = places.map((place) => known[place])
    const fixed = given.slice(carried)
    let values = given.slice(0, carried)
    // What a step made lives until the next one has read it.
    let scope = yield* Scope.fork(outer)
    for (let step = 0, goesOn = true; goesOn && step < maxSteps; step++) {
      const next = yield* Scope.fork(outer)
      const inputs = [HostTensor.i32([], [step]), ...values, ...fixed]
      const [continues, ...made] = yield* Scope.provide(program.run(inputs), next)
      yield* Scope.close(scope, Exit.void)
      scope = next
      values = made
      goesOn = "data" in continues && continues.data[0] !== 0
    }
    return values
  })
  return { run }
})

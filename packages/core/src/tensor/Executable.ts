import { Effect } from "effect"
import type { Scope } from "effect"
import type { CompileError, ExecutionError, Fetch, Memory, Value } from "./Backend.ts"
import { Backend } from "./Backend.ts"
import { record } from "./Graph.ts"
import type { TensorType } from "./HostTensor.ts"
import { sameShape, showType } from "./Shape.ts"
import type { Tensor } from "./Tensor.ts"
import type { MapTree, TensorsOf, Tree, TypeTree } from "./Tree.ts"
import { flatten, flattenAs, paths, restore } from "./Tree.ts"

/** A compiled program that takes and gives values in the shape in which its function was written. */
export interface Executable<S, O> {
  readonly run: (
    inputs: MapTree<S, TensorType, Value>
  ) => Effect.Effect<MapTree<O, Tensor, Value>, ExecutionError, Scope.Scope>
}

/** How outputs are fetched: one answer for a whole subtree, or one per key. */
export type FetchTree = Fetch | { readonly [output: string]: FetchTree }

/** Traces `f` over `inputs`, a tree of types, and compiles it on the backend at hand. */
export const compile = <S, O>(
  name: string,
  f: (inputs: TensorsOf<S>) => O,
  inputs: S,
  fetch: FetchTree,
  memory: Memory = "released"
): Effect.Effect<Executable<S, O>, CompileError, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const backend = yield* Backend
    // Tracing a large program takes some milliseconds: others go first, and again behind it.
    yield* Effect.yieldNow
    const traced = record(f as never, inputs as TypeTree) // f takes the tree that `record` hands to it
    yield* Effect.yieldNow
    const program = yield* backend.compile(traced.graph, { name, fetch: spread(traced.outputs, fetch), memory })
    const run = Effect.fnUntraced(function* (values: Tree<Value>) {
      const flat = flattenAs(traced.inputs, values)
      checkTypes(name, traced.inputs, flat)
      return restore(traced.outputs, yield* program.run(flat))
    })
    // Outputs are restored in the shape that `f` gave, which is what MapTree says.
    return { run } as never
  })

const spread = (outputs: Tree<Tensor>, fetch: FetchTree): ReadonlyArray<Fetch> => {
  const isFetch = (value: FetchTree): value is Fetch => typeof value === "string" || typeof value.donate === "number"
  if (isFetch(fetch)) return flatten(outputs).map(() => fetch)
  return Object.entries<Tree<Tensor>>(outputs as Record<string, Tree<Tensor>>).flatMap(([key, child]) =>
    spread(child, fetch[key])
  )
}

/** Values of another type than was traced are a mistake of the caller: said at once, by name. */
const checkTypes = (program: string, inputs: TypeTree, values: ReadonlyArray<Value | undefined>): void =>
  paths(inputs).forEach(({ path, leaf }, i) => {
    const value = values[i]
    if (value === undefined) throw new TypeError(`${program}: input ${path} is missing, compiled for ${showType(leaf)}`)
    const given = "_tag" in value ? value.type : value
    if (given.dtype !== leaf.dtype || !sameShape(given.shape, leaf.shape)) {
      throw new TypeError(`${program}: input ${path} is ${showType(given)}, compiled for ${showType(leaf)}`)
    }
  })

import type { Buffer, Graph, HostTensor, Op, ReferenceValue, Value } from "@foretoken/core"
import { Backend, Reference } from "@foretoken/core"
import { Effect, Layer, Scope } from "effect"
import type { Context } from "effect"
import { compute } from "../../src/tensor/reference/evaluate.ts"
import { rebuild, rewrite } from "../../src/tensor/Graph.ts"
import type { AnyNode } from "../../src/tensor/Tensor.ts"

/** The reference with one primitive computed by something else. */
export const computing = (
  op: Op,
  wrong: (inputs: ReadonlyArray<ReferenceValue>, right: ReferenceValue, node: AnyNode) => ReferenceValue
): Layer.Layer<Backend> =>
  Reference.layerWith((node, inputs) => {
    const right = compute(node, inputs)
    return node.op === op ? wrong(inputs, right, node) : right
  })

export const mapped = (value: ReferenceValue, f: (x: number, i: number) => number): ReferenceValue => {
  const data = value.data.slice()
  data.forEach((x, i) => (data[i] = f(x, i)))
  return { ...value, data }
}

type Service = Context.Service.Shape<typeof Backend>

/** The reference with some of its members replaced. */
export const serving = (wrong: (right: Service) => Partial<Service>): Layer.Layer<Backend> =>
  Layer.effect(
    Backend,
    Effect.map(Backend, (right) => ({ ...right, ...wrong(right) }))
  ).pipe(Layer.provide(Reference.layer))

/** The reference that runs another graph than it was given. */
export const rewriting = (wrong: (graph: Graph) => Graph): Layer.Layer<Backend> =>
  serving(({ compile }) => ({ compile: (graph, options) => compile(wrong(graph), options) }))

export const onLoops =
  (wrong: (loop: Extract<AnyNode, { op: "loop" }>) => AnyNode) =>
  (graph: Graph): Graph =>
    rewrite(graph, (node, inputs) => rebuild(node.op === "loop" ? wrong(node) : node, inputs))

/** The reference whose runs go through `wrong`. */
export const running = (
  wrong: (
    run: (inputs: ReadonlyArray<Value>) => ReturnType<Program["run"]>,
    inputs: ReadonlyArray<Value>
  ) => ReturnType<Program["run"]>
): Layer.Layer<Backend> =>
  serving(({ compile }) => ({
    compile: (graph, options) =>
      Effect.map(compile(graph, options), ({ run }) => ({ run: (inputs) => wrong(run, inputs) }))
  }))
type Program = Effect.Success<ReturnType<Service["compile"]>>

/** Scopes that never close. */
export const forever = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E> =>
  Effect.flatMap(Scope.make(), (scope) => Scope.provide(effect, scope))

export const isBuffer = (value: Value): value is Buffer => "_tag" in value
export const isHost = (value: Value): value is HostTensor => !isBuffer(value)

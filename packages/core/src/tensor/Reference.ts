import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { Buffer, CompileOptions, Fetch, Program, Value } from "./Backend.ts"
import { Backend, BackendError, CompileError, ExecutionError } from "./Backend.ts"
import { applyOnHost } from "../routine/onHost.ts"
import type { Routine } from "../routine/Routine.ts"
import { buffersOf } from "../routine/Routine.ts"
import type { Graph } from "./Graph.ts"
import { copyInto } from "./HostTensor.ts"
import type { HostTensor, TensorType } from "./HostTensor.ts"
import { compute, evaluate } from "./reference/evaluate.ts"
import type { ReferenceValue } from "./reference/ReferenceValue.ts"
import { copy, fromHost, toHost } from "./reference/ReferenceValue.ts"
import { sameShape, showType } from "./Shape.ts"

const name = "reference"

class ReferenceBuffer implements Buffer {
  readonly _tag = "Buffer"
  readonly type: TensorType
  #state: { readonly value: ReferenceValue } | "closed"

  constructor(value: ReferenceValue) {
    this.type = { dtype: value.dtype, shape: value.shape }
    this.#state = { value }
  }

  get isOpen(): boolean {
    return this.#state !== "closed"
  }
  get value(): ReferenceValue {
    if (this.#state === "closed") throw new Error("read past its scope")
    return this.#state.value
  }
  replace(value: ReferenceValue): void {
    this.#state = { value }
  }
  close(): void {
    this.#state = "closed"
  }
}

const scopedBuffer = (value: ReferenceValue): Effect.Effect<ReferenceBuffer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new ReferenceBuffer(value)),
    (buffer) => Effect.sync(() => buffer.close())
  )

/** The buffer as this backend's own and open, or what it is instead. */
const own = (buffer: Buffer): ReferenceBuffer | string => {
  if (!(buffer instanceof ReferenceBuffer)) return `a buffer of another backend (${showType(buffer.type)})`
  return buffer.isOpen ? buffer : `a buffer whose scope is closed (${showType(buffer.type)})`
}

const openBuffer = (buffer: Buffer): Effect.Effect<ReferenceBuffer, BackendError> => {
  const found = own(buffer)
  return typeof found === "string"
    ? Effect.fail(new BackendError({ backend: name, reason: `this is ${found}` }))
    : Effect.succeed(found)
}

const sameType = (a: TensorType, b: TensorType): boolean => a.dtype === b.dtype && sameShape(a.shape, b.shape)

/** What is wrong with how the outputs shall be fetched. */
const fetchProblem = (graph: Graph, fetch: ReadonlyArray<Fetch>): string | undefined => {
  if (fetch.length !== graph.outputs.length) return `${graph.outputs.length} outputs, ${fetch.length} ways to fetch`
  const donated = fetch.flatMap((way, i) => (typeof way === "string" ? [] : [{ output: i, input: way.donate }]))
  const twice = donated.find(({ input }, i) => donated.findIndex((other) => other.input === input) !== i)
  if (twice !== undefined) return `input ${twice.input} is donated to two outputs`
  const unfit = donated.find(
    ({ output, input }) =>
      graph.inputs[input] === undefined || !sameType(graph.inputs[input].type, graph.outputs[output].type)
  )
  return unfit && `output ${unfit.output} does not fit into input ${unfit.input}`
}

const compileWith = (
  each: typeof compute,
  graph: Graph,
  { name: program, fetch }: CompileOptions
): Effect.Effect<Program, CompileError> => {
  const problem = fetchProblem(graph, fetch)
  if (problem !== undefined) return Effect.fail(new CompileError({ backend: name, reason: `${program}: ${problem}` }))
  const fail = (reason: string) => Effect.fail(new ExecutionError({ backend: name, program, reason }))

  const run = Effect.fnUntraced(function* (inputs: ReadonlyArray<Value>) {
    const values: Array<ReferenceValue> = []
    for (const [i, input] of inputs.entries()) {
      const found = "_tag" in input ? own(input) : { value: fromHost(input) }
      if (typeof found === "string") return yield* fail(`input ${i} is ${found}`)
      values.push(found.value)
    }
    const unfit = fetch.find((way) => typeof way !== "string" && !(inputs[way.donate] instanceof ReferenceBuffer))
    if (typeof unfit === "object") return yield* fail(`input ${unfit.donate} is donated, so it must be a buffer`)
    const computed = yield* Effect.try({
      try: () => evaluate(graph, values, each),
      catch: (error) => new ExecutionError({ backend: name, program, reason: String(error) })
    })
    // Copied before anything is replaced: an output may be an input passed on, and two outputs may be one value.
    return yield* Effect.forEach(computed.map(copy), (value, i): Effect.Effect<Value, never, Scope.Scope> => {
      const way = fetch[i]
      if (way === "host") return Effect.succeed(toHost(value))
      if (way === "resident") return scopedBuffer(value)
      const target = inputs[way.donate]
      if (target instanceof ReferenceBuffer) target.replace(value)
      return Effect.succeed(target)
    })
  })
  return Effect.succeed({ run })
}

/** The host's loops on values rounded to f32: what the other backends are held against. */
const apply = Effect.fnUntraced(function* (routine: Routine) {
  const { changed, read } = buffersOf(routine)
  const rounded = new Map<Buffer, HostTensor>()
  for (const buffer of [...changed, ...read].flat()) rounded.set(buffer, toHost((yield* openBuffer(buffer)).value))
  const elements = (buffer: Buffer) => rounded.get(buffer)?.data as Float32Array // of all its buffers, and they are f32
  const found = yield* Effect.try({
    try: () => applyOnHost(routine, elements),
    catch: (error) => new BackendError({ backend: name, reason: reasonOf(error) })
  })
  for (const buffer of changed.flat()) {
    const value = rounded.get(buffer)
    if (value !== undefined) (yield* openBuffer(buffer)).replace(fromHost(value))
  }
  return found
})

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The reference with another way to compute a node: for tests that break it on purpose. */
const layerWith = (each: typeof compute): Layer.Layer<Backend> => Layer.succeed(Backend, serviceWith(each))

const serviceWith = (each: typeof compute): (typeof Backend)["Service"] => {
  const service: (typeof Backend)["Service"] = {
    name,
    compile: (graph, options) => compileWith(each, graph, options),
    upload: (value) => Effect.suspend(() => scopedBuffer(fromHost(value))),
    write: (buffer, value) =>
      Effect.flatMap(openBuffer(buffer), (own) => {
        if (!sameType(own.type, value)) {
          const reason = `cannot write ${showType(value)} into ${showType(own.type)}`
          return Effect.fail(new BackendError({ backend: name, reason }))
        }
        return Effect.sync(() => own.replace(fromHost(value)))
      }),
    read: (buffer, into) =>
      Effect.flatMap(openBuffer(buffer), (own) =>
        Effect.try({
          try: () => copyInto(toHost(own.value), into),
          catch: (error) => new BackendError({ backend: name, reason: reasonOf(error) })
        })
      ),
    apply,
    thread: () => Effect.succeed({ backend: service, isAlive: () => true })
  }
  return service
}

/**
 * The oracle: every primitive as its definition says, in float64, one plain loop each. Floats are f32 where they enter
 * and leave; buffers hold float64. Slow; runs anywhere, on the caller's thread.
 */
const layer: Layer.Layer<Backend> = layerWith(compute)

export const Reference = { layer, layerWith }
export { evaluate } from "./reference/evaluate.ts"
export { fromHost, toHost, type ReferenceValue } from "./reference/ReferenceValue.ts"

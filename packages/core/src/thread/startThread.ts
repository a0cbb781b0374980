import { Buffer as NodeBuffer } from "node:buffer"
import type { Transferable } from "node:worker_threads"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Routine } from "../routine/Routine.ts"
import { buffersOf, mapBuffers } from "../routine/Routine.ts"
import type { Backend, Buffer, CompileOptions, Fetch, Thread, ThreadOptions, Value } from "../tensor/Backend.ts"
import { BackendError, CompileError, ExecutionError } from "../tensor/Backend.ts"
import type { Graph } from "../tensor/Graph.ts"
import { copyInto, HostTensor } from "../tensor/HostTensor.ts"
import type { TensorType } from "../tensor/HostTensor.ts"
import { showType } from "../tensor/Shape.ts"
import type { Connection } from "./Connection.ts"
import { connect } from "./Connection.ts"
import { encode } from "./GraphData.ts"
import type { BackendSource, BufferId, SentValue, Staged } from "./messages.ts"

/**
 * A backend on a thread of its own (node:worker_threads), which loads it from `source`. The caller's thread does no more
 * than hand values over: they are copied once, in pieces with room for other work between them, and move from there on;
 * what comes back moves without a copy. Fails with a BackendError where the thread or its backend does not start.
 */
export const startThread = (
  source: BackendSource,
  options: ThreadOptions
): Effect.Effect<Thread, BackendError, Scope.Scope> =>
  connect(source, options).pipe(
    Effect.mapError((reason) => new BackendError({ backend: options.name, reason })),
    Effect.map((connection) => ({ backend: proxy(source, connection), isAlive: connection.isAlive }))
  )

/** Stands for a buffer on the thread. */
class ThreadBuffer implements Buffer {
  readonly _tag = "Buffer"
  readonly type: TensorType
  readonly connection: Connection
  readonly id: BufferId

  constructor(type: TensorType, connection: Connection, id: BufferId) {
    this.type = type
    this.connection = connection
    this.id = id
  }
}

const proxy = (source: BackendSource, connection: Connection): (typeof Backend)["Service"] => {
  const { name, nextId, call, send } = connection
  const close = (id: number) => Effect.sync(() => send({ _tag: "close", call: id }))
  const asBackendError = Effect.mapError((reason: string) => new BackendError({ backend: name, reason }))

  const idOf = (buffer: Buffer): Effect.Effect<BufferId, string> =>
    buffer instanceof ThreadBuffer && buffer.connection === connection
      ? Effect.succeed(buffer.id)
      : Effect.fail(`this is a buffer of another backend (${showType(buffer.type)})`)

  const runOf = (id: number, graph: Graph, fetch: ReadonlyArray<Fetch>) =>
    Effect.fnUntraced(function* (
      inputs: ReadonlyArray<Value>
    ): Effect.fn.Return<ReadonlyArray<Value>, string, Scope.Scope> {
      const run = nextId()
      if (fetch.includes("resident")) yield* Effect.addFinalizer(() => close(run))
      const values: Array<SentValue> = []
      const memory: Array<Transferable> = []
      for (const input of inputs) {
        const sent = "_tag" in input ? yield* idOf(input) : yield* handOver(connection, input)
        values.push("memory" in sent ? sent.value : sent)
        if ("memory" in sent) memory.push(...sent.memory)
      }
      const { outputs } = yield* call(run, { _tag: "run", program: id, inputs: values }, memory)
      return outputs.map((output, i): Value => {
        if (typeof output !== "string") return output
        const into = fetch[i]
        if (typeof into === "object") return inputs[into.donate]
        return new ThreadBuffer(graph.outputs[i].type, connection, { call: run, output: i })
      })
    })

  return {
    name,
    compile: Effect.fnUntraced(
      function* (graph: Graph, options: CompileOptions) {
        const id = nextId()
        yield* Effect.addFinalizer(() => close(id))
        yield* call(id, { _tag: "compile", graph: encode(graph), options })
        const run = runOf(id, graph, options.fetch)
        const failed = (reason: string) => new ExecutionError({ backend: name, program: options.name, reason })
        return { run: (inputs: ReadonlyArray<Value>) => Effect.mapError(run(inputs), failed) }
      },
      Effect.mapError((reason) => new CompileError({ backend: name, reason }))
    ),
    upload: Effect.fnUntraced(function* (value: HostTensor) {
      const id = nextId()
      yield* Effect.addFinalizer(() => close(id))
      const sent = yield* handOver(connection, value)
      yield* call(id, { _tag: "upload", value: sent.value }, sent.memory)
      return new ThreadBuffer({ dtype: value.dtype, shape: value.shape }, connection, { call: id, output: 0 })
    }, asBackendError),
    write: Effect.fnUntraced(function* (buffer: Buffer, value: HostTensor) {
      const target = yield* idOf(buffer)
      const sent = yield* handOver(connection, value)
      yield* call(nextId(), { _tag: "write", buffer: target, value: sent.value }, sent.memory)
    }, asBackendError),
    read: Effect.fnUntraced(function* (buffer: Buffer, into?: HostTensor) {
      const shared = into?.data.buffer instanceof SharedArrayBuffer ? into : "new memory"
      const { outputs } = yield* call(nextId(), { _tag: "read", buffer: yield* idOf(buffer), into: shared })
      const [output] = outputs
      if (output === "in place" && into !== undefined) return into
      if (typeof output === "string") return yield* Effect.fail("what was read is no value")
      return yield* Effect.try({ try: () => copyInto(output, into), catch: String })
    }, asBackendError),
    apply: Effect.fnUntraced(function* (routine: Routine) {
      const { changed, read } = buffersOf(routine)
      const ids = new Map<Buffer, BufferId>()
      for (const buffer of [...changed, ...read].flat()) ids.set(buffer, yield* idOf(buffer))
      const sent = mapBuffers(routine, (buffer) => ids.get(buffer) ?? nowhere)
      return (yield* call(nextId(), { _tag: "apply", routine: sent })).found
    }, asBackendError),
    thread: (options) => startThread(source, options)
  }
}

/** No buffer has it. */
const nowhere: BufferId = { call: -1, output: -1 }

/** Elements copied at a time: 4 MiB, about a millisecond. */
const pieceLength = 2 ** 20

interface HandedOver {
  readonly value: HostTensor | Staged
  /** Moves along with the value. */
  readonly memory: ReadonlyArray<Transferable>
}

/** A copy of the value on its way: a small one goes with the call, a large one ahead of it, piece by piece. */
const handOver = (connection: Connection, value: HostTensor): Effect.Effect<HandedOver> => {
  const type: TensorType = { dtype: value.dtype, shape: value.shape }
  if (value.data.length <= pieceLength) {
    const data = copyOf(value.data, 0, value.data.length)
    return Effect.succeed({ value: HostTensor.make(value.dtype, value.shape, data), memory: [data.buffer] })
  }
  const staged = connection.nextId()
  return Effect.gen(function* () {
    for (let at = 0; at < value.data.length; at += pieceLength) {
      const data = copyOf(value.data, at, Math.min(at + pieceLength, value.data.length))
      connection.send({ _tag: "piece", staged, type, at, data }, [data.buffer])
      yield* Effect.yieldNow
    }
    return { value: { staged }, memory: [] }
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => connection.send({ _tag: "forget", staged }))))
}

type Moving = (Float32Array | Int32Array | Uint8Array) & { readonly buffer: ArrayBuffer }

/** Memory that is not shared, not pooled, and not cleared before it is written. */
const copyOf = (data: HostTensor["data"], from: number, to: number): Moving => {
  const part = data.subarray(from, to)
  const { buffer } = NodeBuffer.allocUnsafeSlow(part.byteLength)
  const copy =
    part instanceof Float32Array
      ? new Float32Array(buffer)
      : part instanceof Int32Array
        ? new Int32Array(buffer)
        : new Uint8Array(buffer)
  copy.set(part)
  return copy as Moving // its memory is the buffer just made
}

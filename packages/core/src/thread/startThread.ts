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
import { inSlot, slotBytes, sumOf } from "./messages.ts"
import type { BackendSource, BufferId, SentValue, Staged, Summed } from "./messages.ts"

/**
 * A backend on a thread of its own (node:worker_threads), which loads it from `source`. The caller's thread does no more
 * than hand values over: large ones in pieces, through memory that both threads share, with room for other work between
 * them. What comes back moves without a copy, or lies in shared memory that the caller gave. Fails with a BackendError where the thread or its backend does not start.
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
      for (const input of inputs) {
        values.push("_tag" in input ? yield* idOf(input) : yield* handOver(connection, input))
      }
      const { outputs } = yield* call(run, { _tag: "run", program: id, inputs: values })
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
      yield* call(id, { _tag: "upload", value: yield* handOver(connection, value) })
      return new ThreadBuffer({ dtype: value.dtype, shape: value.shape }, connection, { call: id, output: 0 })
    }, asBackendError),
    write: Effect.fnUntraced(function* (buffer: Buffer, value: HostTensor) {
      const target = yield* idOf(buffer)
      yield* call(nextId(), { _tag: "write", buffer: target, value: yield* handOver(connection, value) })
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

/** Bytes up to which a value goes with its call. */
const small = 2 ** 16

/** A copy of the value on its way: a small one with the call, a large one ahead of it, piece by piece. */
const handOver = (connection: Connection, value: HostTensor): Effect.Effect<Summed | Staged, string> => {
  const { dtype, shape, data } = value
  if (data.byteLength <= small) {
    const copy = copyInto(value, HostTensor.make(dtype, shape, HostTensor.allocate(dtype, data.length)))
    return Effect.succeed({ value: copy, sum: sumOf(data) })
  }
  const staged = connection.nextId()
  const perPiece = slotBytes / data.BYTES_PER_ELEMENT
  const pieces = Effect.gen(function* () {
    for (let at = 0; at < data.length; at += perPiece) {
      const part = data.subarray(at, at + perPiece)
      yield* connection.ship((ferry, slot) => {
        inSlot(ferry, slot, dtype, part.length).set(part)
        return { _tag: "piece", staged, type: { dtype, shape }, at, elements: part.length, slot, sum: sumOf(part) }
      })
      yield* Effect.yieldNow
    }
    const sent: Staged = { staged }
    return sent
  })
  return Effect.onInterrupt(pieces, () => Effect.sync(() => connection.send({ _tag: "forget", staged })))
}

import type { Backend, Buffer, DType, HostTensor as Host, TensorType } from "@foretoken/core"
import {
  BackendError,
  copyInto,
  HostTensor,
  makeProgramCache,
  routinesAsPrograms,
  showType,
  sizeOf
} from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { Contents } from "./DeviceBuffer.ts"
import { contentsOf, DeviceBuffer, keepOnDevice } from "./DeviceBuffer.ts"
import { compileOnDevice } from "./deviceProgram.ts"
import { openDeviceSession } from "./DeviceSession.ts"
import { hostLoops } from "./hostLoops.ts"
import type { ModelProto } from "./onnxProto.ts"
import { dataType } from "./onnxProto.ts"
import { dataOf, toOrt } from "./ortTensor.ts"
import type { Runtime } from "./Runtime.ts"
import { reasonOf } from "./Runtime.ts"
import type { SessionSettings } from "./Session.ts"
import { transfers } from "./transfers.ts"

type Service = (typeof Backend)["Service"]

/**
 * The Backend service on a device that keeps its buffers: weights, gradients, moments and caches stay there across
 * programs and runs. What goes in and what comes out passes through a session of one copy each, since onnxruntime-node
 * has no other door: `getData` of a tensor on a device ends the process.
 */
export const makeDeviceBackend = Effect.fnUntraced(function* (
  runtime: Runtime,
  settings: SessionSettings
): Effect.fn.Return<Service, never, Scope.Scope> {
  const name = `onnx:${settings.device}`
  const doors = yield* makeProgramCache
  const failed = (error: unknown) => new BackendError({ backend: name, reason: reasonOf(error) })

  const door = (way: "in" | "out", dtype: DType) =>
    doors.get(
      `${way} ${dtype}`,
      openDeviceSession(runtime, settings, `${way} ${dtype}`, copyOf(dtype), way === "in" ? ["y"] : [])
    )

  const sent = Effect.fnUntraced(function* (value: Host) {
    if (sizeOf(value.shape) === 0) return "empty"
    const session = yield* door("in", value.dtype)
    const { y } = yield* Effect.tryPromise({
      try: () => session.run({ x: toOrt(runtime, value) }, ["y"]),
      catch: failed
    })
    yield* Metric.update(transfers.toDevice, value.data.byteLength)
    return session.hold(y)
  }, Effect.mapError(failed))

  const fetched = Effect.fnUntraced(function* ({ dtype, shape }: TensorType, contents: Contents) {
    if (contents === "empty") return HostTensor.make(dtype, shape, [])
    const session = yield* door("out", dtype)
    const { y } = yield* Effect.tryPromise({ try: () => session.run({ x: contents.tensor }, ["y"]), catch: failed })
    const value = HostTensor.make(dtype, shape, dataOf(y))
    yield* Metric.update(transfers.toHost, value.data.byteLength)
    return value
  }, Effect.mapError(failed))

  const opened = (buffer: Buffer, what: string) => Effect.try({ try: () => contentsOf(buffer, what), catch: failed })

  const compile = hostLoops((graph, options) => compileOnDevice(runtime, settings, graph, options))
  const service: Service = {
    name,
    compile,
    upload: (value) => Effect.uninterruptible(Effect.flatMap(sent(value), (contents) => keepOnDevice(value, contents))),
    write: Effect.fnUntraced(function* (buffer, value) {
      yield* opened(buffer, "what is written to")
      if (showType(buffer.type) !== showType(value)) {
        return yield* failed(`${showType(value)} does not go into ${showType(buffer.type)}`)
      }
      const contents = yield* sent(value)
      if (buffer instanceof DeviceBuffer) buffer.replace(contents)
    }, Effect.uninterruptible),
    read: Effect.fnUntraced(function* (buffer, into) {
      const value = yield* fetched(buffer.type, yield* opened(buffer, "what is read"))
      return yield* Effect.try({ try: () => copyInto(value, into), catch: failed })
    }),
    apply: yield* routinesAsPrograms({ name, compile }),
    // All threads of a process share onnxruntime's one queue to the device, and nothing keeps them from interleaving there.
    thread: () => Effect.succeed({ backend: service, isAlive: () => true })
  }
  return service
})

/** A model that passes values of any shape through. */
const copyOf = (dtype: DType): ModelProto => {
  const type = { tensorType: { elemType: dataType[dtype] } }
  return {
    irVersion: 10,
    producerName: "foretoken",
    opsetImport: [{ domain: "", version: 21 }],
    graph: {
      name: "copy",
      node: [{ opType: "Identity", domain: "", name: "copy", input: ["x"], output: ["y"], attribute: [] }],
      initializer: [],
      input: [{ name: "x", type }],
      output: [{ name: "y", type }]
    }
  }
}

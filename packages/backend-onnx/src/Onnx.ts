import { availableParallelism } from "node:os"
import { applyOnHost, Backend, BackendError, copyInto, startThread } from "@foretoken/core"
import type { Buffer } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { compileProgram, inHostMemory } from "./compileProgram.ts"
import type { Device } from "./Device.ts"
import { makeDeviceBackend } from "./deviceBackend.ts"
import { copyOf, keep, overwrite } from "./HostBuffer.ts"
import { probe, probeDevice } from "./probe.ts"
import { reasonOf, loadRuntime } from "./Runtime.ts"

export interface OnnxOptions {
  readonly device: Device
  /** Threads of one operator; all cores when left out. Another number may give other last bits. */
  readonly threads?: number
}

/**
 * The backend that runs graphs with onnxruntime. Fails with a BackendError that names what is missing when the device
 * does not run here. Buffers live in the device's memory where onnxruntime-node can leave them there (webgpu), else in the
 * host's, from where they travel to every run (cuda). A run occupies its thread until it is done.
 */
const layer = (options: OnnxOptions): Layer.Layer<Backend, BackendError> => Layer.effect(Backend, makeBackend(options))

/**
 * The service alone: what a thread of its own loads (see `startThread`).
 * @public
 */
export const makeBackend = ({
  device,
  threads = availableParallelism()
}: OnnxOptions): Effect.Effect<(typeof Backend)["Service"], BackendError, Scope.Scope> =>
  Effect.gen(function* () {
    const name = `onnx:${device}`
    if (!Number.isInteger(threads) || threads < 1) {
      return yield* new BackendError({
        backend: name,
        reason: `threads is ${threads}, and must be a whole number >= 1`
      })
    }
    const runtime = yield* loadRuntime(device)
    if (device !== "cpu") {
      const found = yield* probeDevice(device)
      if (found.status === "missing") {
        return yield* new BackendError({ backend: name, reason: `${found.detail}; needs ${found.howToGetIt}` })
      }
      if (found.buffers === "device") return yield* makeDeviceBackend(runtime, { device, threads, memory: "kept" })
    }
    const attempt = <A>(f: () => A) =>
      Effect.try({ try: f, catch: (error) => new BackendError({ backend: name, reason: reasonOf(error) }) })
    const service: (typeof Backend)["Service"] = {
      name,
      compile: (graph, options) => compileProgram(runtime, { device, threads }, graph, options),
      upload: (value) => keep(copyOf(value)),
      write: (buffer, value) => attempt(() => overwrite(inHostMemory(buffer, "what is written to"), value)),
      read: (buffer, into) =>
        attempt(() => {
          const own = inHostMemory(buffer, "what is read")
          return into === undefined ? copyOf(own) : copyInto(own, into)
        }),
      apply: (routine) => attempt(() => applyOnHost(routine, elementsOf)),
      thread: (thread) => startThread({ module: import.meta.url, options: { device, threads } }, thread)
    }
    return service
  })

const elementsOf = (buffer: Buffer): Float32Array => {
  const { data } = inHostMemory(buffer, "what a routine is applied to")
  if (data instanceof Float32Array) return data
  throw new TypeError("what a routine is applied to is not f32")
}

export const Onnx = { layer, probe }

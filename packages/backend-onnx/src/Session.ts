import { CompileError, type Memory } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { InferenceSession } from "onnxruntime-node"
import type { Device } from "./Device.ts"
import type { GraphProto, ModelProto } from "./onnxProto.ts"
import { encodeModel } from "./onnxProto.ts"
import type { Runtime } from "./Runtime.ts"
import { reasonOf } from "./Runtime.ts"

export interface SessionSettings {
  readonly device: Device
  readonly threads: number
  /**
   * Kept: in an arena of the session's own, which never gives back what its largest run has taken. Released: in that of the
   * C library, which all sessions share; fresh pages cost a training step some 5 %.
   */
  readonly memory: Memory
}

export const sessionOptions = (
  { device, threads, memory }: SessionSettings,
  graph: GraphProto
): InferenceSession.SessionOptions => ({
  executionProviders: [device === "webgpu" ? webgpuOptions(leftToCpu(graph)) : device],
  intraOpNumThreads: threads,
  graphOptimizationLevel: "all",
  // Planned memory would come on top of what the first run has left in the session's arena: the same peak a second time.
  enableMemPattern: false,
  enableCpuMemArena: memory === "kept",
  logSeverityLevel: 3,
  extra: {
    session: {
      use_deterministic_compute: "1",
      // Threads that have no work sleep: every session has its own, and they share the cores with the rest of the run.
      force_spinning_stop: "1"
    },
    optimization: {
      // Masks and counters over a whole vocabulary are cheaper to make than to keep.
      constant_folding_max_output_size_in_bytes: String(1 << 20),
      // It moves a factor behind a product where the shapes happen to allow it, and the sampler would round otherwise than the learner.
      disable_specified_optimizers: "MatMulScaleFusion"
    }
  }
})

/** An empty list is an error to onnxruntime. */
const webgpuOptions = (forceCpuNodeNames: ReadonlyArray<string>) =>
  forceCpuNodeNames.length === 0 ? "webgpu" : { name: "webgpu", forceCpuNodeNames }

/**
 * WebGPU allows sin and cos an absolute error of 2^-11 between -π and π, and any beyond
 * (https://www.w3.org/TR/WGSL/#concrete-float-accuracy); SwiftShader is off by 1e-4. Angles are few, so the cpu does them.
 */
const inexactOnWebgpu: ReadonlySet<string> = new Set(["Sin", "Cos"])

/** Names of the nodes that no shader shall run, in the bodies of loops too. */
const leftToCpu = ({ node }: GraphProto): ReadonlyArray<string> =>
  node.flatMap(({ name, opType, attribute }) => [
    ...(inexactOnWebgpu.has(opType) ? [name] : []),
    ...attribute.flatMap((each) => ("g" in each ? leftToCpu(each.g) : []))
  ])

/** A protobuf message ends at 2 GiB. */
const largestModel = 2 ** 31 - 1

/** A session of onnxruntime for the model. Its outputs named in `resident` stay on the device. */
export const createSession = (
  runtime: Runtime,
  settings: SessionSettings,
  name: string,
  model: ModelProto,
  resident: ReadonlyArray<string> = []
): Effect.Effect<InferenceSession, CompileError> => {
  const failed = (reason: string) =>
    new CompileError({ backend: `onnx:${settings.device}`, reason: `${name}: ${reason}` })
  const constants = model.graph.initializer.reduce((total, { rawData }) => total + rawData.byteLength, 0)
  if (constants > largestModel - 2 ** 20) {
    const size = (constants / 2 ** 30).toFixed(1)
    return Effect.fail(failed(`its constants take ${size} GiB and an ONNX model holds 2; feed the weights as inputs`))
  }
  const options = sessionOptions(settings, model.graph)
  const locations = Object.fromEntries(resident.map((output) => [output, "gpu-buffer"] as const))
  return Effect.tryPromise({
    try: () =>
      runtime.InferenceSession.create(
        encodeModel(model),
        resident.length === 0 ? options : { ...options, preferredOutputLocation: locations }
      ),
    catch: (error) => failed(reasonOf(error))
  })
}

/** Such a session with all outputs on the host, released with its scope. */
export const openSession = (
  runtime: Runtime,
  settings: SessionSettings,
  name: string,
  model: ModelProto
): Effect.Effect<InferenceSession, CompileError, Scope.Scope> =>
  Effect.acquireRelease(createSession(runtime, settings, name, model), (session) =>
    Effect.promise(() => session.release())
  )

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Backend, HostTensor, routinesAsPrograms } from "@foretoken/core"
import type { BackendError, CompileOptions, Graph, TensorType } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as ort from "onnxruntime-node"
import type { Device } from "../src/Device.ts"
import { hostLoops } from "../src/hostLoops.ts"
import { lowerGraph } from "../src/lower/lowerGraph.ts"
import { encodeModel } from "../src/onnxProto.ts"
import { toOrt } from "../src/ortTensor.ts"
import { sessionOptions } from "../src/Session.ts"

interface Inside {
  readonly program: string
  /** Bytes that the nodes of one run copied between the device and the host. */
  readonly bytes: number
}

/**
 * What crosses within each of the programs that `work` compiles on a device: copies that onnxruntime puts around nodes
 * that it leaves to the cpu. The work is done on the cpu to come by its programs; those then run under the profiler.
 */
export const transfersInside = <A, E>(
  device: Device,
  work: Effect.Effect<A, E, Backend | Scope.Scope>
): Effect.Effect<ReadonlyArray<Inside>, E | BackendError> =>
  Effect.gen(function* () {
    const programs: Array<{ readonly graph: Graph; readonly name: string }> = []
    const cpu = yield* Backend
    const compile = hostLoops((graph: Graph, options: CompileOptions) => {
      programs.push({ graph, name: options.name })
      return cpu.compile(graph, options)
    })
    const recording = { ...cpu, compile, apply: yield* routinesAsPrograms({ name: cpu.name, compile }) }
    yield* Effect.provideService(work, Backend, recording)
    return yield* Effect.forEach(programs, ({ graph, name }) =>
      Effect.map(
        Effect.promise(() => copiedBytes(device, graph)),
        (bytes): Inside => ({ program: name, bytes })
      )
    )
  }).pipe(Effect.scoped, Effect.provide(Onnx.layer({ device: "cpu" })))

const copiedBytes = async (device: Device, graph: Graph): Promise<number> => {
  const { model, inputs, outputs } = lowerGraph(graph, device)
  if (outputs.size === 0) return 0
  const directory = mkdtempSync(join(tmpdir(), "foretoken-profile-"))
  try {
    const session = await ort.InferenceSession.create(encodeModel(model), {
      ...sessionOptions({ device, threads: 2, memory: "kept" }, model.graph),
      preferredOutputLocation: "gpu-buffer",
      enableProfiling: true,
      profileFilePrefix: join(directory, "profile")
    })
    const zeros = ({ dtype, shape }: TensorType) => toOrt(ort, HostTensor.fill(dtype, shape, 0))
    const feeds = Object.fromEntries([...inputs].map(([i, name]) => [name, zeros(graph.inputs[i].type)]))
    const results = await session.run(feeds)
    session.endProfiling()
    for (const tensor of Object.values(results)) tensor.dispose()
    await session.release()
    return readdirSync(directory).map((file) => memcpyBytes(readFileSync(join(directory, file), "utf8")))[0]
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** An event of onnxruntime's profile, as far as it is read here. */
interface ProfileEvent {
  readonly name: string
  readonly args?: { readonly op_name?: string; readonly output_size?: string }
}

const memcpyBytes = (profile: string): number =>
  (JSON.parse(profile) as ReadonlyArray<ProfileEvent>) // what onnxruntime writes
    .filter(({ name, args }) => name.endsWith("_kernel_time") && args?.op_name?.startsWith("Memcpy") === true)
    .reduce((sum, { args }) => sum + Number(args?.output_size), 0)

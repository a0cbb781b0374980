import * as Effect from "effect/Effect"
import { table } from "../table.ts"

/** A device of a backend on this machine. */
interface Device {
  readonly device: string
  readonly status: "works" | "missing"
  /** What it runs on, or why it does not. */
  readonly detail: string
  readonly howToGetIt: string
}

export interface Backends {
  readonly devices: ReadonlyArray<Device>
}

const reference: Device = {
  device: "reference",
  status: "works",
  detail: "plain float64 loops: the oracle, for tests and tiny models",
  howToGetIt: "part of Foretoken"
}

/** tfjs has one native device, which is the GPU's where there is one: the other is told apart here. */
const tensorflowGpu: Device = {
  device: "tfjs:tensorflow-gpu",
  status: "missing",
  detail: "no libtensorflow with a GPU is in use",
  howToGetIt:
    "an NVIDIA GPU with CUDA on Linux x64 and `npm install @tensorflow/tfjs-node-gpu`, or the binding built as " +
    "docs/native-tfjs.md says"
}

export const run = (): Effect.Effect<Backends> =>
  Effect.gen(function* () {
    const { Onnx } = yield* Effect.promise(() => import("@foretoken/backend-onnx"))
    const { Tfjs } = yield* Effect.promise(() => import("@foretoken/backend-tfjs"))
    const onnx = (yield* Onnx.probe).map((found): Device => ({ ...found, device: `onnx:${found.device}` }))
    const tfjs = (yield* Tfjs.probe()).map((found): Device =>
      found.status === "missing" ? found : { ...found, howToGetIt: "it is there" }
    )
    const hasGpu = tfjs.some(({ device }) => device === tensorflowGpu.device)
    return { devices: [reference, ...onnx, ...(hasGpu ? [] : [tensorflowGpu]), ...tfjs] }
  })

export const show = ({ devices }: Backends): string => {
  const missing = devices.filter(({ status }) => status === "missing")
  const rows = devices.map(({ device, status, detail }) => [device, status, detail])
  const hints = missing.map(({ device, howToGetIt }) => `  ${device}: ${howToGetIt}`)
  return [
    table(["device", "status", "detail"], rows),
    ...(hints.length > 0 ? ["", "To get what is missing:", ...hints] : [])
  ].join("\n")
}

import type { Backend, BackendError } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { backendNames, deviceNames } from "./flags.ts"
import { InputError } from "./failure.ts"

export interface BackendChoice {
  readonly backend: (typeof backendNames)[number]
  readonly device: (typeof deviceNames)[number] | undefined
  /** Threads of one operator, where the backend lets one choose. */
  readonly threads?: number | undefined
}

/** The backend that was asked for; only its package is loaded. */
export const backendLayer = ({
  backend,
  device,
  threads
}: BackendChoice): Layer.Layer<Backend, BackendError | InputError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const refuse = (has: string) =>
        Effect.fail(new InputError({ message: `--device is ${device}; --backend ${backend} has ${has}` }))
      if (threads !== undefined && backend !== "onnx") {
        return yield* new InputError({ message: `--threads is ${threads}; --backend ${backend} chooses by itself` })
      }
      switch (backend) {
        case "onnx": {
          if (device === "tensorflow" || device === "wasm") return yield* refuse("cpu, cuda and webgpu")
          const { Onnx } = yield* Effect.promise(() => import("@foretoken/backend-onnx"))
          return Onnx.layer({ device: device ?? "cpu", ...(threads === undefined ? {} : { threads }) })
        }
        case "tfjs": {
          if (device === "cpu" || device === "cuda" || device === "webgpu") return yield* refuse("tensorflow and wasm")
          const { Tfjs } = yield* Effect.promise(() => import("@foretoken/backend-tfjs"))
          return Tfjs.layer({ device: device ?? "auto" })
        }
        case "reference": {
          if (device !== undefined && device !== "cpu") return yield* refuse("cpu")
          const { Reference } = yield* Effect.promise(() => import("@foretoken/core"))
          return Reference.layer
        }
      }
    })
  )

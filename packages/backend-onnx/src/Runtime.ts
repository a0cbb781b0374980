import { BackendError } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { Device } from "./Device.ts"
import { howToGetIt } from "./Device.ts"

/** onnxruntime-node. */
export type Runtime = typeof import("onnxruntime-node")

/** The native module, loaded when first asked for: importing it throws on platforms it was not built for. */
export const loadRuntime = (device: Device): Effect.Effect<Runtime, BackendError> =>
  Effect.tryPromise({
    try: async () => {
      const runtime = await import("onnxruntime-node")
      runtime.env.logLevel = "error"
      return runtime
    },
    catch: (error) =>
      new BackendError({
        backend: `onnx:${device}`,
        reason: `onnxruntime-node does not load: ${reasonOf(error)}; needs ${howToGetIt.cpu}`
      })
  })

/** One line. onnxruntime puts its source file, function and condition before what it has to say. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error))
    .trim()
    .split("\n")[0]
    .replace(/^.* was false\. /, "")

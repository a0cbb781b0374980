import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import type { Device } from "./Device.ts"
import { devices, howToGetIt } from "./Device.ts"
import { reasonOf } from "./Runtime.ts"

/** Whether onnxruntime computes on a device of this machine. */
export interface Availability {
  readonly device: Device
  readonly status: "works" | "missing"
  /** One line: what was seen. */
  readonly detail: string
  readonly howToGetIt: string
}

const script = fileURLToPath(
  import.meta.url.endsWith(".ts")
    ? new URL("./tryDevice.ts", import.meta.url)
    : new URL("./tryDevice.js", import.meta.url)
)

/** Runs a tiny session on the device, in a process of its own, so that a driver that aborts takes nothing along. */
export const probeDevice = (device: Device): Effect.Effect<Availability> =>
  Effect.callback<Availability>((resume) => {
    const answer = (status: "works" | "missing", detail: string) =>
      resume(Effect.succeed({ device, status, detail, howToGetIt: howToGetIt[device] }))
    const child = execFile(process.execPath, [script, device], { timeout: 60_000 }, (error, stdout) => {
      if (error === null) answer("works", "ran a session")
      else if (stdout !== "") answer("missing", reasonOf(stdout))
      else answer("missing", `the process that tried it ended with ${error.signal ?? error.code}`)
    })
    return Effect.sync(() => child.kill())
  })

/** Every device, tried. */
export const probe: Effect.Effect<ReadonlyArray<Availability>> = Effect.forEach(devices, probeDevice)

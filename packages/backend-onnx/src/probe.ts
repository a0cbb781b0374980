import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import type { Device } from "./Device.ts"
import { devices, howToGetIt } from "./Device.ts"
import { reasonOf } from "./Runtime.ts"

/** Whether onnxruntime computes on a device of this machine. */
export type Availability = Works | Missing

interface Works {
  readonly device: Device
  readonly status: "works"
  /** Where buffers live: in the device's own memory, or in the host's, from where they travel to every run. */
  readonly buffers: "device" | "host"
  /** One line: what was seen. */
  readonly detail: string
  readonly howToGetIt: string
}

interface Missing {
  readonly device: Device
  readonly status: "missing"
  /** One line: what went wrong. */
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
    const child = execFile(process.execPath, [script, device], { timeout: 60_000 }, (error, stdout) =>
      resume(Effect.succeed(availability(device, stdout, String(error?.signal ?? error?.code))))
    )
    return Effect.sync(() => child.kill())
  })

/** What the process that tried a device has shown, by its lines and how it ended: it may have died after it had worked. */
export const availability = (device: Device, stdout: string, ended: string): Availability => {
  const about = { device, howToGetIt: howToGetIt[device] }
  const [first, second] = stdout.split("\n")
  if (first === "works") {
    const buffers = second === "keeps" ? "device" : "host"
    return { ...about, status: "works", buffers, detail: seen(device, buffers) }
  }
  const detail = first === "" ? `the process that tried it ended with ${ended}` : reasonOf(stdout)
  return { ...about, status: "missing", detail }
}

const seen = (device: Device, buffers: "device" | "host"): string => {
  if (device === "cpu") return "ran a session"
  const where = buffers === "device" ? "stay in the device's memory" : "are in host memory and travel to every run"
  return `ran a session; buffers ${where}`
}

/** Every device, tried. */
export const probe: Effect.Effect<ReadonlyArray<Availability>> = Effect.forEach(devices, probeDevice)

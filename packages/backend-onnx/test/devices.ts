import { Onnx } from "@foretoken/backend-onnx"
import { Effect } from "effect"
import type { Device } from "../src/Device.ts"

const found = (await Effect.runPromise(Onnx.probe)).filter(({ device }) => device !== "cpu")

for (const { device, status, detail } of found) {
  if (status === "missing") console.warn(`not tested on ${device}: ${detail}`) // oxlint-disable-line no-console -- no skip without a reason
}

/** Devices other than the cpu that work on this machine. */
export const working: ReadonlyArray<{ readonly device: Device; readonly buffers: "device" | "host" }> = found.flatMap(
  (each) => (each.status === "works" ? [each] : [])
)

/** Those that keep buffers in their own memory. */
export const resident = working.flatMap(({ device, buffers }) => (buffers === "device" ? [device] : []))

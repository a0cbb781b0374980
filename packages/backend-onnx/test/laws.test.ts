import { describe, it } from "@effect/vitest"
import { Onnx } from "@foretoken/backend-onnx"
import { laws } from "@foretoken/core/testing"
import { working } from "./devices.ts"

describe("laws of a backend, onnxruntime on the cpu", () => {
  it.layer(Onnx.layer({ device: "cpu", threads: 2 }))((it) => {
    for (const { name, check } of laws.backend()) it.effect(name, () => check)
  })
})

// Shaders are compiled for every program: a law takes a second on software Vulkan, so here stand the primitives that have
// come out wrong on some device, what puts many together, and what moves buffers. FORETOKEN_WEBGPU_LAWS=all runs every law.
const everyLaw = process.env["FORETOKEN_WEBGPU_LAWS"] === "all"
const chosen =
  /^(sin|cos|gather|scatterAdd|the gradient of (matmul|attention)|gradients of small programs|loop|routine|.*(buffer|donat|resident))/

for (const { device } of working) {
  describe(`laws of a backend, onnxruntime on ${device}`, () => {
    it.layer(Onnx.layer({ device, threads: 2 }))((it) => {
      const some = laws.backend({ runs: everyLaw ? 8 : 2 }).filter(({ name }) => everyLaw || chosen.test(name))
      for (const { name, check } of some) it.effect(name, () => check)
    })
  })
}

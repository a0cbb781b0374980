import { describe, it } from "@effect/vitest"
import { Onnx } from "@foretoken/backend-onnx"
import { laws } from "@foretoken/core/testing"
import { Effect, Layer } from "effect"

describe("laws of a backend, onnxruntime on the cpu", () => {
  it.layer(Onnx.layer({ device: "cpu", threads: 2 }))((it) => {
    for (const { name, check } of laws.backend()) it.effect(name, () => check)
  })
})


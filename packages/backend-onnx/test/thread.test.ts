import { describe, it } from "@effect/vitest"
import { Backend } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect, Layer } from "effect"

const onThread = Layer.effect(
  Backend,
  Effect.gen(function* () {
    const { thread } = yield* Backend
    return (yield* thread({ name: "laws" })).backend
  })
).pipe(Layer.provide(Onnx.layer({ device: "cpu", threads: 1 })))

describe("laws of a backend, onnx:cpu on a thread of its own", () => {
  it.layer(onThread)((it) => {
    for (const { name, check } of laws.backend({ runs: 4 })) it.effect(name, () => check)
  })
})

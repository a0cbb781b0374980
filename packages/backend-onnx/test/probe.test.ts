import { expect, it } from "@effect/vitest"
import { Backend, BackendError } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect, Layer, Result } from "effect"
import { availability } from "../src/probe.ts"

it.live("every device either works or says in one line what is missing", () =>
  Effect.gen(function* () {
    const probes = yield* Onnx.probe
    expect(probes.map(({ device }) => device)).toEqual(["cpu", "cuda", "webgpu"])
    expect(probes[0].status).toBe("works")
    for (const { device, status, detail, howToGetIt } of probes) {
      expect(detail).toMatch(/^[^\n]{5,200}$/)
      const built = yield* Effect.scoped(Effect.result(Layer.build(Onnx.layer({ device }))))
      if (status === "works") expect(Result.isSuccess(built)).toBe(true)
      else expect(Result.getOrThrow(Result.flip(built)).reason).toBe(`${detail}; needs ${howToGetIt}`)
    }
  })
)

it.effect("a number of threads that is none is refused", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(Effect.provide(Backend, Onnx.layer({ device: "cpu", threads: 1.5 })))
    expect(error).toBeInstanceOf(BackendError)
    expect(error.message).toBe("onnx:cpu: threads is 1.5, and must be a whole number >= 1")
  })
)

it("a device counts as missing with the reason it gave, and as working without buffers of its own if keeping one ended it", () => {
  expect(availability("cuda", "no such library\nsecond line", "1")).toMatchObject({
    status: "missing",
    detail: "no such library"
  })
  expect(availability("cuda", "", "SIGABRT")).toMatchObject({
    status: "missing",
    detail: "the process that tried it ended with SIGABRT"
  })
  expect(availability("cuda", "works\n", "SIGSEGV")).toMatchObject({ status: "works", buffers: "host" })
  expect(availability("webgpu", "works\nkeeps\n", "0")).toMatchObject({ status: "works", buffers: "device" })
})

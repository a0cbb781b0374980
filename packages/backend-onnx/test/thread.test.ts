import { describe, expect, it } from "@effect/vitest"
import { Backend, constant, Graph, HostTensor, loop } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"

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

describe("a thread of onnx:cpu", () => {
  it.live("may be let go of in the middle of a run: the run goes to its end, and so does the process", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const scope = yield* Scope.make()
      const thread = yield* Scope.provide(backend.thread({ name: "busy" }), scope)
      const square = { dtype: "f32", shape: [512, 512] } as const
      const { graph } = Graph.trace(
        ({ x }) => {
          const end = loop({ carried: { x }, fixed: {}, maxSteps: 100 }, (_, { x }) => ({
            continues: constant(HostTensor.bool([], [true])),
            carried: { x: x.matmul(x).tanh() }
          }))
          return [end.x]
        },
        { x: square }
      )
      const { run } = yield* Scope.provide(thread.backend.compile(graph, { name: "long", fetch: ["host"] }), scope)
      const x = HostTensor.fill("f32", square.shape, 0.01)
      const running = yield* Effect.forkChild(Effect.flip(Effect.scoped(run([x]))))
      yield* Effect.sleep(50)
      yield* Scope.close(scope, Exit.void)
      expect((yield* Fiber.join(running)).reason).toBe("the thread busy has ended: its scope has closed")
      expect(thread.isAlive()).toBe(false)
    }).pipe(Effect.provide(Onnx.layer({ device: "cpu", threads: 1 })))
  )
})

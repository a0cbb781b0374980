import { assert, it } from "@effect/vitest"
import { Backend, Graph, HostTensor, loop } from "@foretoken/core"
import * as Effect from "effect/Effect"
import { Tfjs } from "../src/index.ts"
import { numbers, onEveryDevice } from "./devices.ts"

onEveryDevice((device) => {
  const layer = Tfjs.layer({ device })
  it.effect("runs on three threads at once, each of which computes what it was given", () =>
    Effect.gen(function* () {
      const { thread } = yield* Backend
      const { graph } = Graph.trace(
        ({ x }) => {
          const { y } = loop(
            { carried: { y: x }, fixed: { total: x.sum() }, maxSteps: 200 },
            (_, { y }, { total }) => ({
              continues: y.sum().less(1e9),
              carried: { y: y.matmul(y).softmax().add(total) }
            })
          )
          return [y.sum()]
        },
        { x: { dtype: "f32", shape: [32, 32] } }
      )
      const results = yield* Effect.forEach(
        [1, 2, 3],
        Effect.fnUntraced(function* (value) {
          const { backend } = yield* thread({ name: `thread ${value}` })
          const program = yield* backend.compile(graph, { name: "loop", fetch: ["host"] })
          const sums: Array<number> = []
          for (let i = 0; i < 5; i++) {
            const [sum] = yield* Effect.scoped(program.run([HostTensor.fill("f32", [32, 32], value)]))
            sums.push(...numbers(sum))
          }
          return sums
        }),
        { concurrency: "unbounded" }
      )
      for (const [i, sums] of results.entries()) {
        assert.strictEqual(new Set(sums).size, 1)
        assert.closeTo(sums[0], 1024 * 1024 * (i + 1) + 32, 32)
      }
    }).pipe(Effect.provide(layer))
  )
})

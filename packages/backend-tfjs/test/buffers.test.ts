import { assert, it } from "@effect/vitest"
import { Backend, Graph, HostTensor, loop } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { Tfjs } from "../src/index.ts"
import { evaluate, numbers, onEveryDevice } from "./devices.ts"

const pair = { dtype: "f32", shape: [2] } as const

onEveryDevice((device) => {
  const layer = Tfjs.layer({ device })

  it.effect("keeps what was uploaded, whatever becomes of the host's array", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const host = HostTensor.f32([2], [1, 2])
      const buffer = yield* backend.upload(host)
      host.data[0] = 100
      const first = yield* backend.read(buffer)
      assert.deepStrictEqual(first, HostTensor.f32([2], [1, 2]))
      ;(first.data as Float32Array)[0] = 100 // read as f32
      assert.deepStrictEqual(yield* backend.read(buffer), HostTensor.f32([2], [1, 2]))
      yield* backend.write(buffer, HostTensor.f32([2], [3, 4]))
      assert.deepStrictEqual(yield* backend.read(buffer), HostTensor.f32([2], [3, 4]))
    }).pipe(Effect.provide(layer))
  )

  it.effect("writes a donated output into the buffer it was given, and keeps a resident one", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const weights = yield* backend.upload(HostTensor.f32([2], [1, 2]))
      const gradient = HostTensor.f32([2], [10, 20])
      const step = yield* evaluate(
        (weights, gradient) => [weights.sub(gradient.mul(0.5)), weights, gradient.sum()],
        [weights, gradient],
        [{ donate: 0 }, "resident", "host"]
      )
      assert.strictEqual(step[0], weights)
      assert.deepStrictEqual(yield* backend.read(weights), HostTensor.f32([2], [-4, -8]))
      const [, old, total] = step
      if (!("_tag" in old)) return assert.fail("a resident output is a buffer")
      assert.deepStrictEqual(yield* backend.read(old), HostTensor.f32([2], [1, 2]))
      assert.deepStrictEqual(numbers(total), [30])
    }).pipe(Effect.provide(layer))
  )

  it.effect("gives each output its own values when outputs, inputs and constants are one", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const x = yield* backend.upload(HostTensor.f32([2], [1, 2]))
      const outputs = yield* evaluate(
        (x) => [x, x.stopGradient(), x.add(1), x],
        [x],
        [{ donate: 0 }, "resident", "host", "host"]
      )
      assert.deepStrictEqual(numbers(outputs[2]), [2, 3])
      assert.deepStrictEqual(numbers(outputs[3]), [1, 2])
      yield* backend.write(x, HostTensor.f32([2], [7, 7]))
      if (!("_tag" in outputs[1])) return assert.fail("a resident output is a buffer")
      assert.deepStrictEqual(yield* backend.read(outputs[1]), HostTensor.f32([2], [1, 2]))
    }).pipe(Effect.provide(layer))
  )

  it.effect("holds as many tensors after fifty runs as after one, and none once the scope has closed", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const before = tf.memory().numTensors
      const scope = yield* Scope.make()
      const counts = yield* Effect.gen(function* () {
        const { graph } = Graph.trace(
          ({ w, x }) => {
            const { y } = loop({ carried: { y: x }, fixed: { w }, maxSteps: 5 }, (step, { y }, { w }) => ({
              continues: step.less(3),
              carried: { y: y.mul(w).add(1) }
            }))
            return [w.add(y), y.softmax(), y.reshape([1, 2]).matmul(w.reshape([2, 1])), y.logSoftmax()]
          },
          { w: pair, x: pair }
        )
        const program = yield* backend.compile(graph, {
          name: "step",
          fetch: [{ donate: 0 }, "resident", "host", "host"]
        })
        const w = yield* backend.upload(HostTensor.f32([2], [0.5, 0.25]))
        const counts: Array<number> = []
        for (let i = 0; i < 50; i++) {
          yield* Effect.scoped(program.run([w, HostTensor.f32([2], [1, 1])]))
          counts.push(tf.memory().numTensors)
        }
        return counts
      }).pipe(Scope.provide(scope))
      assert.deepStrictEqual(new Set(counts).size, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(tf.memory().numTensors, before)
    }).pipe(Effect.provide(layer))
  )

  it.effect("says what is wrong with an input, a fetch or a buffer, and leaks nothing over it", () =>
    Effect.gen(function* () {
      const backend = yield* Backend
      const before = tf.memory().numTensors
      const { graph } = Graph.trace(([x]) => [x.add(1)], [pair])
      const reason = <A, E extends { readonly reason: string }, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.flip(effect), ({ reason }) => reason)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const program = yield* backend.compile(graph, { name: "p", fetch: ["host"] })
          const wrong = HostTensor.f32([3], [1, 2, 3])
          assert.strictEqual(yield* reason(program.run([wrong])), "input 0 is f32[3], must be f32[2]")
          assert.strictEqual(yield* reason(program.run([])), "wants 1 inputs, got 0")
          const fetch = backend.compile(graph, { name: "p", fetch: [{ donate: 1 }] })
          assert.strictEqual(yield* reason(fetch), "p: output 0 is donated to input 1, which is not there")
          const gone = yield* Effect.scoped(backend.upload(HostTensor.f32([2], [1, 2])))
          assert.match(yield* reason(program.run([gone])), /gone/)
          assert.match(yield* reason(backend.read(gone)), /gone/)
          assert.match(yield* reason(backend.read({ _tag: "Buffer", type: pair })), /another backend's/)
        })
      )
      assert.strictEqual(tf.memory().numTensors, before)
    }).pipe(Effect.provide(layer))
  )
})

import { describe, expect, it, layer } from "@effect/vitest"
import { Backend, compile, constant, HostTensor, loop, Reference } from "@foretoken/core"
import type { Tensor } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import { Effect, Layer } from "effect"
import { hostLoops } from "../src/hostLoops.ts"

/** The reference backend without loops of its own: it counts the runs of what it compiles, and refuses a loop. */
const counted = { runs: 0 }
const withoutLoops = Layer.effect(
  Backend,
  Effect.map(Backend, (reference) => ({
    ...reference,
    compile: hostLoops((graph, options) => {
      expect(graph.nodes.map(({ op }) => op)).not.toContain("loop")
      return Effect.map(reference.compile(graph, options), ({ run }) => ({
        run: (inputs) => Effect.suspend(() => (counted.runs++, run(inputs)))
      }))
    })
  }))
).pipe(Layer.provide(Reference.layer))

const yes = () => constant(HostTensor.bool([], [1]))
const scalar = { dtype: "f32", shape: [] } as const
type Numbers = Readonly<Record<string, Tensor>>

/** x after n steps of adding. */
const addUp = (x: Tensor, by: Tensor, maxSteps: number): Tensor =>
  loop({ carried: { x }, fixed: { by }, maxSteps }, (_, { x }, { by }) => ({
    continues: yes(),
    carried: { x: x.add(by) }
  })).x

describe("loops run by the host", () => {
  it.layer(withoutLoops)((it) => {
    for (const { name, check } of laws.backend({ runs: 30 })) {
      if (/loop|programs|donat|scope|passes through/.test(name)) it.effect(name, () => check)
    }
  })
})

layer(withoutLoops)("a program with loops", (it) => {
  const run = (f: (inputs: Numbers) => ReadonlyArray<Tensor>, x: number, y: number) =>
    Effect.gen(function* () {
      const program = yield* compile("test", f, { x: scalar, y: scalar }, "host")
      counted.runs = 0
      const outputs = yield* program.run({ x: HostTensor.f32([], [x]), y: HostTensor.f32([], [y]) })
      return outputs.map((value) => ("data" in value ? value.data[0] : NaN))
    })

  it.effect("may have them one after the other, side by side and one inside the other", () =>
    Effect.gen(function* () {
      const results = yield* run(
        ({ x, y }) => {
          const shared = x.mul(y)
          const first = addUp(shared, y, 2)
          const beside = addUp(x, shared, 3)
          const after = addUp(first.add(beside), shared.neg(), 1)
          const nested = loop({ carried: { z: after }, fixed: { y }, maxSteps: 2 }, (_, { z }, { y }) => ({
            continues: yes(),
            carried: { z: addUp(z, y, 3) }
          })).z
          return [first, beside, after, nested, nested.add(shared).add(x)]
        },
        2,
        10
      )
      expect(results).toEqual([40, 62, 82, 142, 164])
    })
  )

  it.effect("stops when the body says so, and gives what it began with after no step at all", () =>
    Effect.gen(function* () {
      const results = yield* run(
        ({ x, y }) => {
          const counting = (maxSteps: number) =>
            loop({ carried: { n: x }, fixed: { y }, maxSteps }, (step, { n }, { y }) => ({
              continues: step.cast("f32").less(y),
              carried: { n: n.add(1) }
            })).n
          return [counting(100), counting(2), counting(0)]
        },
        5,
        3
      )
      expect(results).toEqual([9, 7, 5])
      // Two parts around the loops, and 4 + 2 + 0 steps.
      expect(counted.runs).toBe(8)
    })
  )
})

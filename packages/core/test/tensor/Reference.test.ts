import { describe, expect, it, test } from "@effect/vitest"
import { Backend, constant, evaluate, fromHost, Graph, HostTensor, attention, Reference, toHost } from "@foretoken/core"
import type { Tensor } from "@foretoken/core"
import { Effect } from "effect"

const run = (f: (xs: ReadonlyArray<Tensor>) => Tensor, ...inputs: ReadonlyArray<HostTensor>) => {
  const types = inputs.map(({ dtype, shape }) => ({ dtype, shape }))
  const { graph } = Graph.trace((xs) => f(xs as never), types as never) // a list of types, a list of tensors
  return evaluate(graph, inputs.map(fromHost))[0]
}

describe("evaluate", () => {
  test("computes in float64: what f32 would round away stays", () => {
    const tiny = run(([x]) => x.add(1e8).sub(1e8), HostTensor.f32([1], [0.5]))
    expect([...tiny.data]).toEqual([0.5])
    expect([...toHost(run(([x]) => x.mul(3).div(3), HostTensor.f32([1], [0.1]))).data]).toEqual([Math.fround(0.1)])
  })

  test("shares no memory with what it was given when a value comes from the host", () => {
    const host = HostTensor.f32([2], [1, 2])
    const value = fromHost(host)
    host.data[0] = 9
    expect([...value.data]).toEqual([1, 2])
  })

  test("counts as the definitions say: integers wrap, fractions drop, the first of equal maxima, no axis is no sum", () => {
    expect([...run(([x]) => x.mul(65_537), HostTensor.i32([1], [65_535])).data]).toEqual([-1])
    expect([...run(([x]) => x.cast("i32"), HostTensor.f32([3], [-1.7, 0.5, 2.9])).data]).toEqual([-1, 0, 2])
    expect([...run(([x]) => x.argmax(), HostTensor.f32([2, 3], [1, 3, 3, 2, 2, 2])).data]).toEqual([1, 0])
    expect([...run(([x]) => x.sum([]), HostTensor.f32([2], [1, 2])).data]).toEqual([1, 2])
    expect([...run(([x]) => x.max(1), HostTensor.i32([1, 2], [-7, -3])).data]).toEqual([-3])
    expect([...run(([x]) => x.cumsum(true), HostTensor.f32([3], [1, 2, 4])).data]).toEqual([7, 6, 4])
  })

  test("takes tensors without elements", () => {
    const empty = HostTensor.f32([0, 3], [])
    expect([...run(([x]) => x.sum(0), empty).data]).toEqual([0, 0, 0])
    expect(run(([x]) => x.exp().add(x), empty).shape).toEqual([0, 3])
    expect([...run(([x, y]) => x.matmul(y), HostTensor.f32([2, 0], []), empty).data]).toEqual([0, 0, 0, 0, 0, 0])
  })

  test("names the primitive when an index is out of range, or a query sees no key", () => {
    const table = HostTensor.f32([2], [1, 2])
    expect(() => run(([x, i]) => x.gather(i), table, HostTensor.i32([1], [2]))).toThrow(
      "gather: index 2 is not a row of 2"
    )
    expect(() => run(([x, i]) => x.scatterAdd(i, 1), table, HostTensor.i32([2], [0, -1]))).toThrow(
      "scatterAdd: index -1"
    )
    const one = HostTensor.fill("f32", [1, 1, 1, 1, 1], 1)
    const blind = constant(HostTensor.fill("bool", [1, 1, 1, 1, 1], 0))
    expect(() => run(([x]) => attention(x, [{ k: x, v: x, mask: blind }], 1), one)).toThrow(
      "attention: the query at [0,0,0,0] sees no key"
    )
  })

  test("wants the inputs that the graph was traced for", () => {
    const { graph } = Graph.trace((x) => x.add(1), { dtype: "f32", shape: [2] } as const)
    expect(() => evaluate(graph, [])).toThrow("input 0 is missing: f32[2]")
    expect(() => evaluate(graph, [fromHost(HostTensor.i32([2], [1, 2]))])).toThrow(
      "input 0 is i32[2], the graph wants f32[2]"
    )
  })
})

it.effect("buffers of the reference keep float64 between programs", () =>
  Effect.gen(function* () {
    const { compile } = yield* Backend
    const type = { dtype: "f32", shape: [1] } as const
    const third = Graph.trace((x) => x.div(3), type).graph
    const times = Graph.trace((x) => x.mul(3).sub(0.1), type).graph
    const [kept] = yield* (yield* compile(third, { name: "third", fetch: ["resident"] })).run([
      HostTensor.f32([1], [1])
    ])
    const [back] = yield* (yield* compile(times, { name: "times", fetch: ["host"] })).run([kept])
    expect(back).toEqual(HostTensor.f32([1], [1 - Math.fround(0.1)]))
  }).pipe(Effect.provide(Reference.layer))
)

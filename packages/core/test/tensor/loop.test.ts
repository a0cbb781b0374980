import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { loop } from "../../src/tensor/loop.ts"
import { constant } from "../../src/tensor/operations.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, float, int } from "../model/numbers.ts"

/** Fibonacci with a step count, until the number is larger than `limit`. */
const fibonacci = (limit: number, maxSteps: number) =>
  compute(
    (inputs: { limit: Tensor }) => {
      const zero = constant(HostTensor.i32([], [0]))
      const one = constant(HostTensor.i32([], [1]))
      const carried = { pair: [zero, one], count: zero }
      return loop({ carried, fixed: inputs, maxSteps }, (step, { pair: [a, b] }, { limit }) => {
        const sum = a.add(b)
        return { continues: sum.greater(limit).not(), carried: { pair: [b, sum], count: step.add(1) } }
      })
    },
    { limit: int([], [limit]) }
  )

describe("loop", () => {
  it("runs as long as its body continues and maxSteps at most, and gives what the last step carried", () => {
    fc.assert(
      fc.property(fc.nat(60), fc.nat(12), (limit, maxSteps) => {
        let [a, b, count] = [0, 1, 0]
        while (count < maxSteps) {
          ;[a, b, count] = [b, a + b, count + 1]
          if (b > limit) break
        }
        const result = fibonacci(limit, maxSteps)
        expect([...result.pair.map(({ data }) => data[0]), result.count.data[0]]).toEqual([a, b, count])
      })
    )
  })

  it("of no steps gives what it was given", () => {
    const { pair, count } = fibonacci(100, 0)
    expect([...pair, count].map(({ data }) => data[0])).toEqual([0, 1, 0])
  })

  it("gives its trees of tensors back in their shape", () => {
    const { layers } = compute(
      (inputs: { x: Tensor; by: Tensor }) =>
        loop(
          { carried: { layers: [{ k: inputs.x, v: inputs.by }] }, fixed: { by: inputs.by }, maxSteps: 3 },
          (_, at, fixed) => ({
            continues: fixed.by.sum().greater(0),
            carried: { layers: at.layers.map(({ k, v }) => ({ k: k.mul(fixed.by), v: v.add(fixed.by) })) }
          })
        ),
      { x: float([2], [1, 10]), by: float([2], [2, 3]) }
    )
    expect(Array.from(layers[0].k.data)).toEqual([8, 270])
    expect(Array.from(layers[0].v.data)).toEqual([8, 12])
  })

  it("refuses a body that reads a tensor which was not handed to it, naming that tensor", () => {
    const capture = () =>
      compute(
        (inputs: { x: Tensor }) =>
          loop({ carried: inputs, fixed: {}, maxSteps: 2 }, (_, { x }) => ({
            continues: x.sum().less(9),
            carried: { x: x.add(inputs.x) }
          })),
        { x: float([2], [1, 2]) }
      )
    expect(capture).toThrow(/reads the input x of another graph/)
  })

  it("refuses a body that changes the type of what it carries", () => {
    const grow = () =>
      compute(
        (inputs: { x: Tensor }) =>
          loop({ carried: inputs, fixed: {}, maxSteps: 2 }, (_, { x }) => ({
            continues: x.sum().less(9),
            carried: { x: x.pad([0], [1]) }
          })),
        { x: float([2], [1, 2]) }
      )
    expect(grow).toThrow(/^loop.*the body gives \(bool\[\],f32\[3\]\)/)
  })
})

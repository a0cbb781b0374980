import { describe, expect, it } from "vitest"
import { Graph } from "../../src/tensor/Graph.ts"
import { floatsOf } from "../../src/tensor/half.ts"
import type { TensorType } from "../../src/tensor/HostTensor.ts"
import { totalBytes } from "../../src/tensor/liveness.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"

const table: TensorType = { dtype: "bf16", shape: [4, 3] }
const traced = (f: (x: Tensor) => Tensor) => Graph.trace(({ x }) => f(x), { x: table }).graph.outputs[0].type

describe("floats of two bytes", () => {
  it("are the numbers that their formats say", () => {
    expect([...floatsOf("bf16", [0x3f80, 0xc049, 0x0001, 0x7f80])]).toEqual([1, -3.140625, 2 ** -133, Infinity])
    expect([...floatsOf("f16", [0x3c00, 0xc248, 0x0001, 0x7bff, 0xfc00])]).toEqual([
      1,
      -3.140625,
      2 ** -24,
      65504,
      -Infinity
    ])
    expect(floatsOf("f16", [0x7e00])[0]).toBeNaN()
    expect(Object.is(floatsOf("bf16", [0x8000])[0], -0)).toBe(true)
  })

  it("are widened and picked, and nothing is computed with them", () => {
    expect(traced((x) => x.cast("f32"))).toEqual({ dtype: "f32", shape: [4, 3] })
    expect(() => traced((x) => x.add(x))).toThrow(/add.*does not compute with bf16; widen it first/)
    expect(() => traced((x) => x.matmul(x, { transposeB: true }))).toThrow(/does not compute with bf16/)
    expect(() => traced((x) => x.cast("i32"))).toThrow(/widens bf16 to f32 only/)
    expect(() => traced((x) => x.cast("f32").cast("f16"))).toThrow(/does not round to f16/)
  })

  it("take two bytes each", () => {
    expect(totalBytes([table])).toBe(24)
  })
})

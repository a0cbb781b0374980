import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { gelu, layerNorm } from "../../src/model/formulas.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, float, gap } from "./numbers.ts"

/** Of the largest element of each row. */
const relativeGap = (a: ArrayLike<number>, b: ReadonlyArray<number>) =>
  Math.max(...b.map((value, i) => Math.abs(a[i] - value) / Math.max(1e-12, Math.abs(value))))

describe("gelu", () => {
  // torch 2.15, torch.nn.functional.gelu in float64
  const at = [-6, -3.25, -1, -0.125, 0, 0.5, 1, 2.75, 5, 9]
  const golden = {
    exact: [
      -5.919525869479969e-9, -0.0018753313877699906, -0.15865525393145702, -0.056282721896235885, 0,
      0.34573123063700656, 0.841344746068543, 2.7418056511035998, 4.999998566742141, 9
    ],
    tanh: [
      -8.43964897967453e-11, -0.0015686271447474948, -0.15880800939172324, -0.05628280137577661, 0, 0.34571400982514394,
      0.8411919906082768, 2.742276855926382, 4.999999770820381, 9
    ]
  }
  it.each(["exact", "tanh"] as const)("%s is torch's to the precision of f32, in the tails too", (by) => {
    const { data } = compute((x: Tensor) => gelu(x, by), float([at.length], at))
    expect(relativeGap(data, golden[by])).toBeLessThan(1e-6)
  })
})

describe("layerNorm", () => {
  it("is torch's", () => {
    const rows = float([2, 4], [1, 2, 4, -3, 100, 100.5, 99, 101])
    const { data } = compute(
      ({ x, weight, bias }: { x: Tensor; weight: Tensor; bias: Tensor }) => layerNorm(x, weight, bias, 1e-5),
      { x: rows, weight: float([4], [1, 0.5, -2, 3]), bias: float([4], [0, 1, -1, 0.25]) }
    )
    // torch 2.15, torch.nn.functional.layer_norm in float64
    const golden = [
      0, 1.1961159842797926, -3.3533918113575116, -4.456783622715023, -0.16902930554197415, 1.2535439583129613,
      2.0425274997555345, 3.7996154163814575
    ]
    expect(gap(data, golden)).toBeLessThan(1e-6) // 1e-5 is a constant of the graph, rounded to f32
  })

  it("does not see a number that is added to the whole row", () => {
    const row = fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 4, maxLength: 4 })
    const of = (values: ReadonlyArray<number>) =>
      compute(({ x, one }: { x: Tensor; one: Tensor }) => layerNorm(x, one, one.mul(0), 1e-5), {
        x: float([1, 4], values),
        one: float([4], [1, 1, 1, 1])
      }).data
    fc.assert(
      fc.property(row, fc.double({ min: -9, max: 9, noNaN: true }), (values, shift) => {
        expect(gap(of(values), Array.from(of(values.map((x) => x + shift))))).toBeLessThan(1e-6)
      })
    )
  })
})

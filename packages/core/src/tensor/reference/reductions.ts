import { reduced, strides } from "../Shape.ts"
import type { TensorType } from "../HostTensor.ts"
import type { Kernels } from "./Kernel.ts"
import type { ReferenceValue } from "./ReferenceValue.ts"
import { filled } from "./ReferenceValue.ts"
import { walk } from "./strided.ts"

type Reductions = Kernels<"sum" | "max" | "argmax" | "cumsum" | "topK">

const reduction =
  (start: number, f: (total: number, x: number) => number) =>
  (
    { axes }: { readonly axes: ReadonlyArray<number> },
    [x]: ReadonlyArray<ReferenceValue>,
    { dtype, shape }: TensorType
  ): ReferenceValue =>
    filled(dtype, shape, (into) => {
      into.fill(start)
      const own = strides(reduced(x.shape, axes, true))
      const steps = own.map((step, axis) => (axes.includes(axis) ? 0 : step))
      let next = 0
      walk(x.shape, steps, 0, (at) => {
        into[at] = f(into[at], x.data[next++])
      })
    })

const sum = reduction(0, (total, x) => total + x)
const maximum = reduction(-Infinity, Math.max)
const maximumOfIntegers = reduction(-(2 ** 31), Math.max)

export const reductions: Reductions = {
  sum,
  max: (params, inputs, output) => (output.dtype === "i32" ? maximumOfIntegers : maximum)(params, inputs, output),
  argmax: (_, [x], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const width = x.shape[x.shape.length - 1]
      for (let row = 0; row < into.length; row++) {
        let best = 0
        for (let i = 1; i < width; i++) if (x.data[row * width + i] > x.data[row * width + best]) best = i
        into[row] = best
      }
    }),
  cumsum: ({ reverse }, [x], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const width = shape[shape.length - 1]
      for (let row = 0; row < into.length; row += width) {
        let total = 0
        for (let i = 0; i < width; i++) {
          const at = row + (reverse ? width - 1 - i : i)
          into[at] = total += x.data[at]
        }
      }
    }),
  topK: ({ k }, [x], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const width = x.shape[x.shape.length - 1]
      for (let row = 0; row * width < x.data.length; row++) {
        const sorted = x.data.subarray(row * width, (row + 1) * width).toSorted((a, b) => b - a)
        into.set(sorted.subarray(0, k), row * k)
      }
    })
}

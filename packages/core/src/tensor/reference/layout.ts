import { sizeOf } from "../HostTensor.ts"
import { strides } from "../Shape.ts"
import type { Kernels } from "./Kernel.ts"
import { filled, fromHost } from "./ReferenceValue.ts"
import { gatherStrided, permute, stretch, walk } from "./strided.ts"

type Layout = Kernels<"constant" | "iota" | "reshape" | "transpose" | "broadcastTo" | "slice" | "pad" | "concat">

export const layout: Layout = {
  constant: ({ value }) => fromHost(value),
  iota: ({ shape, axis }) =>
    filled("i32", shape, (into) => {
      const step = strides(shape)[axis]
      for (let i = 0; i < into.length; i++) into[i] = Math.floor(i / step) % shape[axis]
    }),
  reshape: ({ shape }, [x]) => ({ ...x, shape }),
  transpose: ({ permutation }, [x]) => permute(x, permutation),
  broadcastTo: ({ shape }, [x]) => stretch(x, shape),
  slice: ({ starts }, [x], { shape }) => {
    const steps = strides(x.shape)
    return gatherStrided(x, shape, steps, dot(starts, steps))
  },
  pad: ({ low }, [x], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const steps = strides(shape)
      let next = 0
      walk(x.shape, steps, dot(low, steps), (at) => {
        into[at] = x.data[next++]
      })
    }),
  concat: ({ axis }, inputs, { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const row = sizeOf(shape.slice(axis))
      let start = 0
      for (const { data, shape: own } of inputs) {
        const width = sizeOf(own.slice(axis))
        for (let from = 0, at = start; from < data.length; from += width, at += row) {
          into.set(data.subarray(from, from + width), at)
        }
        start += width
      }
    })
}

const dot = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number =>
  a.reduce((total, x, i) => total + x * b[i], 0)

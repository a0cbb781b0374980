import { sizeOf } from "../HostTensor.ts"
import type { Kernels } from "./Kernel.ts"
import type { ReferenceData, ReferenceValue } from "./ReferenceValue.ts"
import { filled } from "./ReferenceValue.ts"
import { stretch, swapLast } from "./strided.ts"

type Products = Kernels<"matmul" | "gather" | "scatterAdd" | "pick" | "updateAt">

/** into [m,n] = a [m,k] · b [n,k]ᵀ, each matrix at its offset: every row of b is read once and stays at hand. */
export const multiplyRows = (
  into: ReferenceData,
  a: ReferenceData,
  b: ReferenceData,
  { m, n, k }: { readonly m: number; readonly n: number; readonly k: number },
  [atInto, atA, atB]: readonly [number, number, number]
): void => {
  for (let column = 0; column < n; column++) {
    const right = atB + column * k
    for (let row = 0; row < m; row++) {
      const left = atA + row * k
      let total = 0
      for (let i = 0; i < k; i++) total += a[left + i] * b[right + i]
      into[atInto + row * n + column] = total
    }
  }
}

/** Indices out of range are a mistake of the program. */
export const requireRow = (id: number, rows: number): void => {
  if (id < 0 || id >= rows) throw new RangeError(`index ${id} is not a row of ${rows}`)
}

export const products: Products = {
  matmul: ({ transposeA, transposeB }, [a, b], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const batch = shape.slice(0, -2)
      const overBatch = (x: ReferenceValue) => stretch(x, [...batch, ...x.shape.slice(-2)])
      const left = overBatch(transposeA ? swapLast(a) : a)
      const right = overBatch(transposeB ? b : swapLast(b))
      const [m, n] = shape.slice(-2)
      const k = left.shape[left.shape.length - 1]
      for (let i = 0; i < sizeOf(batch); i++) {
        multiplyRows(into, left.data, right.data, { m, n, k }, [i * m * n, i * m * k, i * n * k])
      }
    }),
  gather: (_, [table, ids], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const width = sizeOf(table.shape.slice(1))
      ids.data.forEach((id, i) => {
        requireRow(id, table.shape[0])
        into.set(table.data.subarray(id * width, (id + 1) * width), i * width)
      })
    }),
  scatterAdd: ({ rows }, [ids, updates], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const width = sizeOf(shape.slice(1))
      ids.data.forEach((id, i) => {
        requireRow(id, rows)
        for (let j = 0; j < width; j++) into[id * width + j] += updates.data[i * width + j]
      })
    }),
  pick: (_, [x, ids], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const width = x.shape[x.shape.length - 1]
      ids.data.forEach((id, i) => {
        requireRow(id, width)
        into[i] = x.data[i * width + id]
      })
    }),
  updateAt: ({ axis }, [x, row, index], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const at = index.data[0]
      requireRow(at, shape[axis])
      const width = sizeOf(shape.slice(axis + 1))
      const outer = sizeOf(shape.slice(0, axis))
      into.set(x.data)
      for (let i = 0; i < outer; i++) {
        into.set(row.data.subarray(i * width, (i + 1) * width), (i * shape[axis] + at) * width)
      }
    })
}

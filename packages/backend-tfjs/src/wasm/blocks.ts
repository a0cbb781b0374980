import type { Shape } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import type { Elements } from "./heap.ts"
import { allocate, elements } from "./heap.ts"

// Kernels that move blocks of elements about. WebAssembly's own go through a copy of the whole source (Slice) or through
// one view per block (Concat), or move one element at a time (Gather, rank-five Slice): 10 to 100 times slower.

/** Setting a view costs as much as this many single elements. */
const SHORT = 24

const copy = (to: Elements, at: number, from: Elements, start: number, length: number): void => {
  if (length > SHORT) to.set(from.subarray(start, start + length), at)
  else for (let i = 0; i < length; i++) to[at + i] = from[start + i]
}

/** Elements `begin` to `begin + size` per axis. */
export const slice = (x: tf.Tensor, begin: Shape, size: Shape): tf.Tensor => {
  const out = allocate(size, x.dtype)
  const target = elements(out)
  const source = elements(x)
  const length = size[size.length - 1]
  const rows = size.slice(0, -1)
  /** Where the block begins that stands at `row` of the outer axes. */
  const startOf = (row: number): number => {
    let start = begin[rows.length]
    let stride = x.shape[rows.length]
    for (let axis = rows.length - 1; axis >= 0; axis--) {
      start += (begin[axis] + (row % rows[axis])) * stride
      row = Math.floor(row / rows[axis])
      stride *= x.shape[axis]
    }
    return start
  }
  for (let row = 0, at = 0; at < target.length; row++, at += length) copy(target, at, source, startOf(row), length)
  return out
}

/** Tensors one after the other along `axis`, under `shape`. */
export const concat = (parts: ReadonlyArray<tf.Tensor>, axis: number, shape: Shape): tf.Tensor => {
  const out = allocate(shape, parts[0].dtype)
  const target = elements(out)
  const stride = product(shape.slice(axis))
  let offset = 0
  for (const part of parts) {
    const length = product(part.shape.slice(axis))
    const source = elements(part)
    for (let from = 0, to = offset; from < source.length; from += length, to += stride) {
      copy(target, to, source, from, length)
    }
    offset += length
  }
  return out
}

/** Rows of `table` by `ids`, under `shape`. */
export const gatherRows = (table: tf.Tensor, ids: tf.Tensor, shape: Shape): tf.Tensor => {
  const out = allocate(shape, table.dtype)
  const width = table.size / table.shape[0]
  const source = elements(table)
  const target = elements(out)
  elements(ids).forEach((id, i) => copy(target, i * width, source, id * width, width))
  return out
}

/** A copy of `x` with its row `index` of `axis` replaced by `row`, which has extent 1 there. */
export const replaceAt = (x: tf.Tensor, axis: number, row: tf.Tensor, index: number): tf.Tensor => {
  const out = tf.clone(x) // WebAssembly's clone is a copy
  const width = product(x.shape.slice(axis + 1))
  const stride = width * x.shape[axis]
  const source = elements(row)
  const target = elements(out)
  for (let from = 0, to = index * width; from < source.length; from += width, to += stride) {
    copy(target, to, source, from, width)
  }
  return out
}

const product = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1)

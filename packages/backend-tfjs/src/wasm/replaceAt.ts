import * as tf from "@tensorflow/tfjs-core"
import { elements } from "./heap.ts"

/** A copy of `x` with its row `index` of `axis` replaced by `row`, which has extent 1 there. */
export const replaceAt = (x: tf.Tensor, axis: number, row: tf.Tensor, index: number): tf.Tensor => {
  const out = tf.clone(x) // WebAssembly's clone is a copy
  const width = x.shape.slice(axis + 1).reduce((product, extent) => product * extent, 1)
  const stride = width * x.shape[axis]
  const source = elements(row)
  const target = elements(out)
  for (let from = 0, to = index * width; from < source.length; from += width, to += stride) {
    target.set(source.subarray(from, from + width), to)
  }
  return out
}

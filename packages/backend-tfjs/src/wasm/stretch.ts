import type { Shape } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import type { Values } from "../tensors.ts"
import { allocateLike } from "../tensors.ts"

/**
 * Broadcasts to `shape`, on the host: WebAssembly's Tile kernel moves one element at a time, this copies blocks
 * (a million elements: 38 ms there, 1 ms here).
 */
export const stretch = (x: tf.Tensor, shape: Shape): tf.Tensor => {
  const from = [...shape.slice(x.shape.length).map(() => 1), ...x.shape]
  let values: Values = x.dataSync()
  for (let axis = shape.length - 1, block = 1; axis >= 0; block *= shape[axis--]) {
    if (from[axis] !== shape[axis]) values = repeatBlocks(values, block, shape[axis])
  }
  return tf.tensor(values, [...shape], x.dtype)
}

/** Every block of `length` values `times` in a row. */
const repeatBlocks = (values: Values, length: number, times: number): Values => {
  const out = allocateLike(values, values.length * times)
  const run = length * times
  for (let from = 0, to = 0; from < values.length; from += length, to += run) {
    if (length === 1) out.fill(values[from], to, to + run)
    else {
      out.set(values.subarray(from, from + length), to)
      // What stands there already doubles until the run is full.
      for (let done = length; done < run; done *= 2) out.copyWithin(to + done, to, to + Math.min(done, run - done))
    }
  }
  return out
}

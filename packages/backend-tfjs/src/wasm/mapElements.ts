import type * as tf from "@tensorflow/tfjs-core"
import { allocate, elements } from "./heap.ts"

/** `f` of every element, in the host's float64. */
export const mapElements = (x: tf.Tensor, f: (value: number) => number): tf.Tensor => {
  const out = allocate(x.shape, x.dtype)
  const source = elements(x)
  const target = elements(out)
  for (let i = 0; i < target.length; i++) target[i] = f(source[i])
  return out
}

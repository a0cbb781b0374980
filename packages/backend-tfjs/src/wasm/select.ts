import type { Shape } from "@foretoken/core"
import type * as tf from "@tensorflow/tfjs-core"
import { allocate, elements } from "./heap.ts"
import { stretch } from "./stretch.ts"

/**
 * condition ? a : b, broadcasting. WebAssembly's Select wants equal shapes, and takes every element for four bytes wide:
 * on bools it writes past the end of its result.
 */
export const select = (condition: tf.Tensor, a: tf.Tensor, b: tf.Tensor, shape: Shape): tf.Tensor => {
  const operands = [condition, a, b].map((x) => (repeats(x.shape, shape) ? x : stretch(x, shape)))
  const out = allocate(shape, a.dtype)
  const target = elements(out)
  const [when, yes, no] = operands.map(elements)
  let [at, fromYes, fromNo] = [0, 0, 0]
  for (let i = 0; i < target.length; i++) {
    target[i] = when[at] === 0 ? no[fromNo] : yes[fromYes]
    if (++at === when.length) at = 0
    if (++fromYes === yes.length) fromYes = 0
    if (++fromNo === no.length) fromNo = 0
  }
  return out
}

/** Whether broadcasting is reading over and over from the start: only leading axes are stretched, or it is a scalar. */
const repeats = (from: Shape, to: Shape): boolean => {
  const own = from.slice(from.findIndex((extent) => extent !== 1))
  return from.every((extent) => extent === 1) || own.every((extent, i) => extent === to[to.length - own.length + i])
}

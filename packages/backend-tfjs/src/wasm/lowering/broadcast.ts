import type { Shape } from "@foretoken/core"
import type * as tf from "@tensorflow/tfjs-core"
import { alias, reshape } from "../../tensors.ts"
import { stretch } from "../stretch.ts"

/** The tensor under `shape`, to which it broadcasts. */
export const broadcast = (x: tf.Tensor, shape: Shape): tf.Tensor => {
  const size = shape.reduce((product, extent) => product * extent, 1)
  if (x.size === size) return x.rank === shape.length ? alias(x) : reshape(x, shape)
  return stretch(x, shape)
}

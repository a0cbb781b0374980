import * as tf from "@tensorflow/tfjs-core"
import { reshape } from "../tensors.ts"

/** The shape under which each buffer was first multiplied from the right. */
const packed = new WeakMap<object, string>()

/**
 * [m, k] x [k, n]. XNNPACK packs the right-hand matrix once and keeps the result by buffer, blind to shape: the same
 * buffer under another shape (a reshape shares it) would multiply wrongly or abort the module. Such a one is copied.
 */
export const multiply = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => {
  const shape = b.shape.join()
  const known = packed.get(b.dataId)
  if (known === undefined) packed.set(b.dataId, shape)
  return tf.matMul(a, known === undefined || known === shape ? b : tf.clone(b))
}

/** Multiplications per matrix from which a call of its own (20 µs) beats the batched kernel (1 to 3 GFLOP/s). */
const WORTH_A_CALL = 32 * 32 * 32

/** [batch, m, k] x [batch, k, n]: only single products run on XNNPACK, ten times faster, so large ones go one by one. */
export const multiplyBatch = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => {
  const [batch, m, k] = a.shape
  const n = b.shape[b.rank - 1]
  if (m * k * n < WORTH_A_CALL) return tf.matMul(a, b)
  const left = a.dataSync()
  const right = b.dataSync()
  const products = Array.from({ length: batch }, (_, i) =>
    tf.tidy(() =>
      tf.matMul(
        tf.tensor(left.subarray(i * m * k, (i + 1) * m * k), [m, k]),
        tf.tensor(right.subarray(i * k * n, (i + 1) * k * n), [k, n])
      )
    )
  )
  return reshape(tf.concat(products, 0), [batch, m, n])
}

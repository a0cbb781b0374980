import * as tf from "@tensorflow/tfjs-core"
import { allocate, elements } from "./heap.ts"

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
  const out = allocate([batch, m, n], "float32")
  for (let i = 0; i < batch; i++) {
    tf.tidy(() => {
      const product = tf.matMul(part(a, i, [m, k]), part(b, i, [k, n]))
      elements(out).set(elements(product), i * m * n)
    })
  }
  return out
}

/** Matrix `i` of a batch, copied. */
const part = (x: tf.Tensor, i: number, shape: [number, number]): tf.Tensor => {
  const out = allocate(shape, x.dtype)
  elements(out).set(elements(x).subarray(i * out.size, (i + 1) * out.size))
  return out
}

import type { DType, Shape, TensorType } from "@foretoken/core"
import { HostTensor, isHalf } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"

const dtypes = { f32: "float32", i32: "int32", bool: "bool" } as const satisfies Partial<Record<DType, tf.DataType>>

/** Throws for floats of two bytes: TensorFlow.js has no tensors of them. */
export const tfType = (dtype: DType): tf.DataType => {
  if (isHalf(dtype)) throw new TypeError(`TensorFlow.js keeps no ${dtype} values; give them as f32`)
  return dtypes[dtype]
}

/** A tensor of the host's values. They are copied: tfjs-node would go on reading the array that it was given. */
export const fromHost = ({ data, shape, dtype }: HostTensor): tf.Tensor =>
  tf.tensor(tf.getBackend() === "wasm" ? data : data.slice(), [...shape], tfType(dtype))

/** A copy of a tensor's values. */
export const toHost = (tensor: tf.Tensor, { dtype, shape }: TensorType): HostTensor =>
  HostTensor.make(dtype, shape, tensor.dataSync())

export const zeros = ({ dtype, shape }: TensorType): tf.Tensor => fromHost(HostTensor.fill(dtype, shape, 0))

/** The same values under another shape. The memory is shared; the backends count who uses it. */
export const reshape = (tensor: tf.Tensor, shape: Shape): tf.Tensor => tf.reshape(tensor, [...shape])

/** Another handle on the same values, disposed on its own. */
export const alias = (tensor: tf.Tensor): tf.Tensor => reshape(tensor, tensor.shape)

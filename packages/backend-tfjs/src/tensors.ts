import type { DType, Shape, TensorType } from "@foretoken/core"
import { HostTensor } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"

const dtypes = { f32: "float32", i32: "int32", bool: "bool" } as const satisfies Record<DType, tf.DataType>

export const tfType = (dtype: DType): tf.DataType => dtypes[dtype]

/** A tensor over host values. libtensorflow copies them at the tensor's first use, WebAssembly at once. */
export const fromHost = ({ data, shape, dtype }: HostTensor): tf.Tensor => tf.tensor(data, [...shape], tfType(dtype))

/** A copy of a tensor's values. */
export const toHost = (tensor: tf.Tensor, { dtype, shape }: TensorType): HostTensor =>
  HostTensor.make(dtype, shape, tensor.dataSync())

export const zeros = ({ dtype, shape }: TensorType): tf.Tensor => fromHost(HostTensor.fill(dtype, shape, 0))

/**
 * The same values under another shape. Both backends share the memory and count who uses it, and libtensorflow has taken
 * its copy of host values after this (`tf.clone` would go on reading the caller's array).
 */
export const reshape = (tensor: tf.Tensor, shape: Shape): tf.Tensor => tf.reshape(tensor, [...shape])

/** Another handle on the same values, disposed on its own. */
export const alias = (tensor: tf.Tensor): tf.Tensor => reshape(tensor, tensor.shape)

export type Values = Float32Array | Int32Array | Uint8Array

/** Zeros in an array of the same kind. */
export const allocateLike = (values: Values, length: number): Values =>
  values instanceof Float32Array
    ? new Float32Array(length)
    : values instanceof Int32Array
      ? new Int32Array(length)
      : new Uint8Array(length)

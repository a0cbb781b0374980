import type { Shape } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"

export type Elements = Float32Array | Int32Array | Uint8Array

/** The backend that runs: these functions serve kernels of WebAssembly alone. */
const wasm = (): BackendWasm => tf.backend() as BackendWasm

/** A tensor whose elements are yet to be written. */
export const allocate = (shape: Shape, dtype: tf.DataType): tf.Tensor =>
  tf.engine().makeTensorFromTensorInfo(wasm().makeOutput([...shape], dtype))

/**
 * A tensor's elements where they lie in WebAssembly's memory. The next tensor that is made may move that memory, and
 * leaves this view empty: allocate first.
 */
export const elements = (x: tf.Tensor): Elements => wasm().typedArrayFromHeap(x) as Elements // tfjs also knows strings

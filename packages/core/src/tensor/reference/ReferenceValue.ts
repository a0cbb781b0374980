import type { DType, HostTensor as Host, Shape, TensorType } from "../HostTensor.ts"
import { HostTensor, isHalf, sizeOf } from "../HostTensor.ts"

/**
 * What the reference computes on: row-major, floats in float64 so that finite differences come out exact enough; of floats that
 * are only kept, the bits.
 */
export interface ReferenceValue extends TensorType {
  readonly data: ReferenceData
}
export type ReferenceData = Float64Array | Int32Array | Uint8Array | Uint16Array

export const allocate = (dtype: DType, length: number): ReferenceData =>
  isHalf(dtype)
    ? new Uint16Array(length)
    : dtype === "f32"
      ? new Float64Array(length)
      : dtype === "i32"
        ? new Int32Array(length)
        : new Uint8Array(length)

/** A value of the given type, its elements written by `fill`. */
export const filled = (dtype: DType, shape: Shape, fill: (data: ReferenceData) => void): ReferenceValue => {
  const data = allocate(dtype, sizeOf(shape))
  fill(data)
  return { dtype, shape, data }
}

/** f32 values widened; always a copy. */
export const fromHost = ({ dtype, shape, data }: Host): ReferenceValue => filled(dtype, shape, (into) => into.set(data))

/** Floats rounded to f32; always a copy. */
export const toHost = ({ dtype, shape, data }: ReferenceValue): Host => {
  const into = HostTensor.allocate(dtype, data.length)
  into.set(data)
  return HostTensor.make(dtype, shape, into)
}

export const copy = ({ dtype, shape, data }: ReferenceValue): ReferenceValue => ({ dtype, shape, data: data.slice() })

/**
 * Element types. Floats are f32 on every backend but the reference, which computes in float64. f16 and bf16 are only kept, to
 * save memory: nothing is computed with them but `cast`, which widens them exactly, and `gather`, which picks rows.
 */
export type DType = "f32" | "i32" | "bool" | Half

/** Floats of two bytes: IEEE 754 binary16, and the upper half of an f32. */
export type Half = "f16" | "bf16"

export const isHalf = (dtype: DType): dtype is Half => dtype === "f16" || dtype === "bf16"

export type Shape = ReadonlyArray<number>

/** What is known of a tensor before it has values. */
export interface TensorType {
  readonly dtype: DType
  readonly shape: Shape
}

/** Values in the host's memory, row-major. `bool` is one byte an element, 0 or 1. */
export type HostTensor = HostF32 | HostI32 | HostBool | HostHalf

export interface HostF32 extends TensorType {
  readonly dtype: "f32"
  readonly data: Float32Array
}
export interface HostI32 extends TensorType {
  readonly dtype: "i32"
  readonly data: Int32Array
}
export interface HostBool extends TensorType {
  readonly dtype: "bool"
  readonly data: Uint8Array
}

/** The bits of each element. */
export interface HostHalf extends TensorType {
  readonly dtype: Half
  readonly data: Uint16Array
}

export const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1)

const checked = <A extends { readonly length: number }>(shape: Shape, data: A): A => {
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(`a tensor of shape [${shape}] holds ${sizeOf(shape)} elements, not ${data.length}`)
  }
  return data
}

const f32 = (shape: Shape, data: ArrayLike<number>): HostF32 => ({
  dtype: "f32",
  shape,
  data: checked(shape, data instanceof Float32Array ? data : Float32Array.from(data))
})

const i32 = (shape: Shape, data: ArrayLike<number>): HostI32 => ({
  dtype: "i32",
  shape,
  data: checked(shape, data instanceof Int32Array ? data : Int32Array.from(data))
})

const bool = (shape: Shape, data: ArrayLike<number | boolean>): HostBool => ({
  dtype: "bool",
  shape,
  data: checked(shape, data instanceof Uint8Array ? data : Uint8Array.from(data, Number))
})

/** Of bits. */
const half = (dtype: Half, shape: Shape, data: ArrayLike<number>): HostHalf => ({
  dtype,
  shape,
  data: checked(shape, data instanceof Uint16Array ? data : Uint16Array.from(data))
})

const make = (dtype: DType, shape: Shape, data: ArrayLike<number>): HostTensor =>
  isHalf(dtype)
    ? half(dtype, shape, data)
    : dtype === "f32"
      ? f32(shape, data)
      : dtype === "i32"
        ? i32(shape, data)
        : bool(shape, data)

/** A host tensor of one repeated value. */
const fill = (dtype: DType, shape: Shape, value: number): HostTensor =>
  make(dtype, shape, allocate(dtype, sizeOf(shape)).fill(value))

const allocate = (dtype: DType, length: number): HostTensor["data"] =>
  isHalf(dtype)
    ? new Uint16Array(length)
    : dtype === "f32"
      ? new Float32Array(length)
      : dtype === "i32"
        ? new Int32Array(length)
        : new Uint8Array(length)

/** Copies a value into the memory of another of its type, and gives that; the value itself where there is no other. */
export const copyInto = (value: HostTensor, into: HostTensor | undefined): HostTensor => {
  if (into === undefined) return value
  const fits = into.dtype === value.dtype && into.shape.join() === value.shape.join()
  if (!fits) throw new TypeError(`${value.dtype}[${value.shape}] does not go into ${into.dtype}[${into.shape}]`)
  into.data.set(value.data)
  return into
}

/** Constructors; each checks that the data fill the shape exactly. */
export const HostTensor = { f32, i32, bool, half, make, fill, allocate }

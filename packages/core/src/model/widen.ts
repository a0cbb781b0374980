import { f32BitsOf } from "../tensor/half.ts"

/**
 * Exact widening of 16-bit floats to f32, in place: the 16-bit values lie in the upper half of the f32 array's memory
 * and are widened from the front, so element i is read before anything is written over it. No second copy is needed.
 * Bits are moved as integers, so that NaN payloads survive.
 */

/** The upper half of `values`' memory, to be filled with the 16-bit values before they are widened. */
export const upperHalf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset + 2 * values.length, 2 * values.length)

/** bfloat16 is the upper half of an f32's bits. */
export const widenBF16 = (values: Float32Array): void => widen(values, f32BitsOf.bf16)

/** IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 mantissa bits. */
export const widenF16 = (values: Float32Array): void => widen(values, f32BitsOf.f16)

const widen = (values: Float32Array, bitsOf: (half: number) => number): void => {
  const halves = new Uint16Array(values.buffer, values.byteOffset + 2 * values.length, values.length)
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length)
  for (let i = 0; i < bits.length; i++) bits[i] = bitsOf(halves[i])
}

/** One IEEE 754 binary16 as a number. */
export const valueOfF16 = (half: number): number => {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const mantissa = half & 0x3ff
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25)
}

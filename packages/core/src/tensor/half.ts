import type { Half } from "./HostTensor.ts"

/** The f32 bits of a float of two bytes, exactly: every such float is an f32. */
export const f32BitsOf: Readonly<Record<Half, (half: number) => number>> = {
  bf16: (half) => half << 16,
  /** 1 sign, 5 exponent (bias 15), 10 mantissa bits */
  f16: (half) => {
    const sign = (half & 0x8000) << 16
    const exponent = (half >> 10) & 0x1f
    const mantissa = half & 0x3ff
    if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa << 13)
    if (exponent !== 0) return sign | ((exponent + 127 - 15) << 23) | (mantissa << 13)
    if (mantissa === 0) return sign
    // Subnormal, mantissa * 2^-24: its leading bit becomes the implicit one.
    const shift = Math.clz32(mantissa) - 21
    return sign | ((127 - 14 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13)
  }
}

/** Bits of floats of two bytes as floats. */
export const floatsOf = (dtype: Half, halves: ArrayLike<number>): Float32Array => {
  const bits = new Int32Array(halves.length)
  const bitsOf = f32BitsOf[dtype]
  for (let i = 0; i < bits.length; i++) bits[i] = bitsOf(halves[i])
  return new Float32Array(bits.buffer)
}

/**
 * f32 to 16 bits, rounded to nearest, ties to even. What `widen` made of 16 bits comes back as it was: infinities, -0,
 * subnormals and the payloads of NaN too. Values past the range of F16 (|x| >= 65520) become infinite.
 */

/** The bits of bfloat16, one for each of `values`. */
export const narrowBF16 = (values: Float32Array): Uint16Array<ArrayBuffer> => narrow(values, bf16BitsOfF32)

/** The bits of IEEE 754 binary16, one for each of `values`. */
export const narrowF16 = (values: Float32Array): Uint16Array<ArrayBuffer> => narrow(values, f16BitsOfF32)

const narrow = (values: Float32Array, bitsOf: (word: number) => number): Uint16Array<ArrayBuffer> => {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(words.length)
  for (let i = 0; i < words.length; i++) halves[i] = bitsOf(words[i])
  return halves
}

/** Half of what the kept part counts by, less one if that part is even: added, it carries exactly when we round up. */
const bf16BitsOfF32 = (word: number): number =>
  (word & 0x7fffffff) > 0x7f800000
    ? nanOf(word >>> 16, 0x7f, word & 0x7fffff)
    : ((word >>> 0) + 0x7fff + ((word >>> 16) & 1)) >>> 16

/** A NaN whose payload lies in the bits that are cut off would turn into infinity: it gets the lowest bit that stays. */
const nanOf = (bits: number, mantissa: number, payload: number): number =>
  (bits & mantissa) === 0 && payload !== 0 ? bits | 1 : bits

/** The bits of one f32 as binary16; `word` holds the bits of the f32. */
export const f16BitsOfF32 = (word: number): number => {
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return nanOf(sign | 0x7c00 | ((magnitude >> 13) & 0x3ff), 0x3ff, magnitude & 0x7fffff)
  if (magnitude >= 0x47800000) return sign | 0x7c00
  // Normal: the exponent's bias goes from 127 to 15; a carry out of the mantissa is the next exponent, at the end infinity.
  if (magnitude >= 0x38800000) {
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13)
  }
  // Below half of the least subnormal, 2^-25, and at it: zero.
  if (magnitude <= 0x33000000) return sign
  const exponent = magnitude >> 23
  const mantissa = (magnitude & 0x7fffff) | 0x800000
  // In units of 2^-24: the mantissa counts 2^(exponent - 150).
  const shift = 126 - exponent
  const kept = mantissa >> shift
  const rest = mantissa & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0))
}

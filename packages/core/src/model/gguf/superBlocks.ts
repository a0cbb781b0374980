/**
 * ggml's types of super-blocks: 256 elements that share a scale, in sub-blocks with small scales of their own. Element `i` of a
 * block lies in half h = i / 128 and, within it, in row r = (i % 128) / 32 at column c = i % 32: bytes hold one column of a
 * half, two bits a row. About exactness see blocks.ts.
 */
import type { Dequantize } from "./blocks.ts"
import { levelsOfIQ4, scaleAt, signedAt } from "./blocks.ts"

const size = 256

/** 16 x (4 bits of scale, 4 bits of minimum), 64 bytes of 2 bits, d, dmin. */
export const dequantizeQ2_K: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 84, out += size) {
    const d = scaleAt(packed, at + 80)
    const dmin = scaleAt(packed, at + 82)
    for (let i = 0; i < size; i++) {
      const scale = packed[at + (i >> 4)]
      const q = twoBits(packed, at + 16, i)
      into[out + i] = d * (scale & 15) * q - dmin * (scale >> 4)
    }
  }
}

/** 32 bytes of third bits (bit b of byte c: element 32 b + c), 64 bytes of 2 bits, 16 scales of 6 bits in 12 bytes, d. */
export const dequantizeQ3_K: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 110, out += size) {
    const d = scaleAt(packed, at + 108)
    for (let i = 0; i < size; i++) {
      const j = i >> 4
      const low = (packed[at + 96 + (j & 7)] >> (4 * (j >> 3))) & 15
      const high = (packed[at + 104 + (j & 3)] >> (2 * (j >> 2))) & 3
      const third = (packed[at + (i & 31)] >> (i >> 5)) & 1
      // The bit is set where nothing is to be taken off.
      const q = twoBits(packed, at + 32, i) - (third === 1 ? 0 : 4)
      into[out + i] = d * ((low | (high << 4)) - 32) * q
    }
  }
}

/** d, dmin, 8 scales and 8 minima of 6 bits in 12 bytes, 128 bytes of 4 bits: 32 low halves, then their high halves. */
export const dequantizeQ4_K: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 144, out += size) {
    const d = scaleAt(packed, at)
    const dmin = scaleAt(packed, at + 2)
    for (let j = 0; j < 8; j++) {
      const scale = d * scaleOf(packed, at + 4, j)
      const minimum = dmin * minimumOf(packed, at + 4, j)
      for (let c = 0; c < 32; c++) {
        into[out + 32 * j + c] = scale * fourBits(packed, at + 16, j, c) - minimum
      }
    }
  }
}

/** As Q4_K, with 32 bytes of fifth bits before the last 128. */
export const dequantizeQ5_K: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 176, out += size) {
    const d = scaleAt(packed, at)
    const dmin = scaleAt(packed, at + 2)
    for (let j = 0; j < 8; j++) {
      const scale = d * scaleOf(packed, at + 4, j)
      const minimum = dmin * minimumOf(packed, at + 4, j)
      for (let c = 0; c < 32; c++) {
        const fifth = (packed[at + 16 + c] >> j) & 1
        into[out + 32 * j + c] = scale * (fourBits(packed, at + 48, j, c) | (fifth << 4)) - minimum
      }
    }
  }
}

/** 128 bytes of low 4 bits, 64 bytes of high 2 bits, 16 signed scales, d. */
export const dequantizeQ6_K: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 210, out += size) {
    const d = scaleAt(packed, at + 208)
    for (let i = 0; i < size; i++) {
      const half = i >> 7
      const low = (packed[at + 64 * half + (i & 63)] >> (4 * ((i >> 6) & 1))) & 15
      const q = (low | (twoBits(packed, at + 128, i) << 4)) - 32
      into[out + i] = d * signedAt(packed, at + 192 + (i >> 4)) * q
    }
  }
}

/** d, 2 high bits of 8 scales, their 4 low bits, 128 bytes of levels: 8 times the layout of IQ4_NL. */
export const dequantizeIQ4_XS: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 136, out += size) {
    const d = scaleAt(packed, at)
    const high = packed[at + 2] | (packed[at + 3] << 8)
    for (let j = 0; j < 8; j++) {
      const low = (packed[at + 4 + (j >> 1)] >> (4 * (j & 1))) & 15
      const scale = d * ((low | (((high >> (2 * j)) & 3) << 4)) - 32)
      for (let c = 0; c < 16; c++) {
        const pair = packed[at + 8 + 16 * j + c]
        into[out + 32 * j + c] = scale * levelsOfIQ4[pair & 15]
        into[out + 32 * j + 16 + c] = scale * levelsOfIQ4[pair >> 4]
      }
    }
  }
}

/** 2 bits of element i where bytes hold a column of a half. */
const twoBits = (packed: Uint8Array, at: number, i: number): number =>
  (packed[at + 32 * (i >> 7) + (i & 31)] >> (2 * ((i >> 5) & 3))) & 3

/** 4 bits of column c of row j where two rows share 32 bytes. */
const fourBits = (packed: Uint8Array, at: number, j: number, c: number): number =>
  (packed[at + 32 * (j >> 1) + c] >> (4 * (j & 1))) & 15

/** Scales and minima of rows 4 to 7 have their high bits in the bytes of rows 0 to 3. */
const scaleOf = (packed: Uint8Array, at: number, j: number): number =>
  j < 4 ? packed[at + j] & 63 : (packed[at + 4 + j] & 15) | ((packed[at + j - 4] >> 6) << 4)

const minimumOf = (packed: Uint8Array, at: number, j: number): number =>
  j < 4 ? packed[at + 4 + j] & 63 : (packed[at + 4 + j] >> 4) | ((packed[at + j] >> 6) << 4)

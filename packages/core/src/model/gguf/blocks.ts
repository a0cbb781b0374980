/**
 * How ggml packs weights: the types of blocks of 32, as in ggml-common.h. Each function writes the values of the blocks that lie
 * one after the other in `packed`. A value is (at most) one product and one sum of numbers that an f64 holds exactly, rounded
 * once where it is stored: the same f32, bit for bit, as arithmetic in f32 gives, since every product has less than 25 bits.
 */
import { valueOfF16 } from "../widen.ts"

export type Dequantize = (packed: Uint8Array, into: Float32Array) => void

/** A number of two bytes as ggml stores scales: IEEE 754 binary16. */
export const scaleAt = (packed: Uint8Array, at: number): number => valueOfF16(packed[at] | (packed[at + 1] << 8))

/** A signed byte. */
export const signedAt = (packed: Uint8Array, at: number): number => (packed[at] << 24) >> 24

/** d, 16 bytes of two values each: low halves are elements 0 to 15, high halves 16 to 31. */
export const dequantizeQ4_0: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 18, out += 32) {
    const d = scaleAt(packed, at)
    for (let i = 0; i < 16; i++) {
      const pair = packed[at + 2 + i]
      into[out + i] = d * ((pair & 15) - 8)
      into[out + 16 + i] = d * ((pair >> 4) - 8)
    }
  }
}

/** d, m, 16 bytes as in Q4_0. */
export const dequantizeQ4_1: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 20, out += 32) {
    const d = scaleAt(packed, at)
    const m = scaleAt(packed, at + 2)
    for (let i = 0; i < 16; i++) {
      const pair = packed[at + 4 + i]
      into[out + i] = d * (pair & 15) + m
      into[out + 16 + i] = d * (pair >> 4) + m
    }
  }
}

/** d, the fifth bits of the 32 elements, 16 bytes as in Q4_0. */
export const dequantizeQ5_0: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 22, out += 32) {
    const d = scaleAt(packed, at)
    for (let i = 0; i < 16; i++) {
      const pair = packed[at + 6 + i]
      into[out + i] = d * (((pair & 15) | fifthBit(packed, at + 2, i)) - 16)
      into[out + 16 + i] = d * (((pair >> 4) | fifthBit(packed, at + 2, 16 + i)) - 16)
    }
  }
}

/** d, m, the fifth bits, 16 bytes as in Q4_0. */
export const dequantizeQ5_1: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 24, out += 32) {
    const d = scaleAt(packed, at)
    const m = scaleAt(packed, at + 2)
    for (let i = 0; i < 16; i++) {
      const pair = packed[at + 8 + i]
      into[out + i] = d * ((pair & 15) | fifthBit(packed, at + 4, i)) + m
      into[out + 16 + i] = d * ((pair >> 4) | fifthBit(packed, at + 4, 16 + i)) + m
    }
  }
}

const fifthBit = (packed: Uint8Array, at: number, i: number): number => ((packed[at + (i >> 3)] >> (i & 7)) & 1) << 4

/** d, 32 signed bytes. */
export const dequantizeQ8_0: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 34, out += 32) {
    const d = scaleAt(packed, at)
    for (let i = 0; i < 32; i++) into[out + i] = d * signedAt(packed, at + 2 + i)
  }
}

/** The 16 levels of the IQ4 types: closer together near zero. */
export const levelsOfIQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const

/** d, 16 bytes as in Q4_0, each half a level. */
export const dequantizeIQ4_NL: Dequantize = (packed, into) => {
  for (let at = 0, out = 0; out < into.length; at += 18, out += 32) {
    const d = scaleAt(packed, at)
    for (let i = 0; i < 16; i++) {
      const pair = packed[at + 2 + i]
      into[out + i] = d * levelsOfIQ4[pair & 15]
      into[out + 16 + i] = d * levelsOfIQ4[pair >> 4]
    }
  }
}

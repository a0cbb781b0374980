/** f32 as the types that GGUF files are written with. */
import { f16BitsOfF32, narrowBF16, narrowF16 } from "../narrow.ts"

const ggufTypes = ["F32", "F16", "BF16", "Q8_0"] as const
export type GgufType = (typeof ggufTypes)[number]

/** By name: ggml's number, elements and bytes of a block, and how values are packed. */
export const packers: Readonly<
  Record<
    GgufType,
    {
      readonly id: number
      readonly elements: number
      readonly bytes: number
      readonly pack: (values: Float32Array) => Uint8Array
    }
  >
> = {
  F32: { id: 0, elements: 1, bytes: 4, pack: (values) => bytesOf(values) },
  F16: { id: 1, elements: 1, bytes: 2, pack: (values) => bytesOf(narrowF16(values)) },
  BF16: { id: 30, elements: 1, bytes: 2, pack: (values) => bytesOf(narrowBF16(values)) },
  Q8_0: { id: 8, elements: 32, bytes: 34, pack: (values) => quantizeQ8_0(values) }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/**
 * Blocks of 32: d = max |x| / 127 as F16, then round(x / d), halves away from zero. In f32 throughout, as ggml does it
 * (quantize_row_q8_0_ref): the bytes are the same.
 */
const quantizeQ8_0 = (values: Float32Array): Uint8Array => {
  const packed = new Uint8Array((values.length / 32) * 34)
  const word = new Float32Array(1)
  const bits = new Int32Array(word.buffer)
  for (let from = 0, at = 0; from < values.length; from += 32, at += 34) {
    const block = values.subarray(from, from + 32)
    word[0] = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127
    const inverse = word[0] === 0 ? 0 : Math.fround(1 / word[0])
    const scale = f16BitsOfF32(bits[0])
    packed[at] = scale & 255
    packed[at + 1] = scale >> 8
    for (let i = 0; i < 32; i++) {
      const scaled = Math.fround(block[i] * inverse)
      packed[at + 2 + i] = Math.sign(scaled) * Math.round(Math.abs(scaled))
    }
  }
  return packed
}

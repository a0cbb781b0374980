/** The element types that a GGUF file names by number (enum ggml_type), and how those that we read are packed. */
import { upperHalf, widenBF16, widenF16 } from "../widen.ts"
import {
  dequantizeIQ4_NL,
  dequantizeQ4_0,
  dequantizeQ4_1,
  dequantizeQ5_0,
  dequantizeQ5_1,
  dequantizeQ8_0
} from "./blocks.ts"
import type { Dequantize } from "./blocks.ts"
import { dequantizeIQ2_XXS } from "./iq2.ts"
import {
  dequantizeIQ4_XS,
  dequantizeQ2_K,
  dequantizeQ3_K,
  dequantizeQ4_K,
  dequantizeQ5_K,
  dequantizeQ6_K
} from "./superBlocks.ts"

export interface TensorTypeOfGguf {
  readonly name: string
  /** A row is whole blocks of this many elements ... */
  readonly elements: number
  /** ... in this many bytes each. */
  readonly bytes: number
  readonly dequantize: Dequantize
}

const halves =
  (widen: (values: Float32Array) => void): Dequantize =>
  (packed, into) => {
    upperHalf(into).set(packed)
    widen(into)
  }

const type = (name: string, elements: number, bytes: number, dequantize: Dequantize): TensorTypeOfGguf => ({
  name,
  elements,
  bytes,
  dequantize
})

/** By ggml's number. */
export const tensorTypes: ReadonlyMap<number, TensorTypeOfGguf> = new Map([
  [0, type("F32", 1, 4, (packed, into) => new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(packed))],
  [1, type("F16", 1, 2, halves(widenF16))],
  [2, type("Q4_0", 32, 18, dequantizeQ4_0)],
  [3, type("Q4_1", 32, 20, dequantizeQ4_1)],
  [6, type("Q5_0", 32, 22, dequantizeQ5_0)],
  [7, type("Q5_1", 32, 24, dequantizeQ5_1)],
  [8, type("Q8_0", 32, 34, dequantizeQ8_0)],
  [10, type("Q2_K", 256, 84, dequantizeQ2_K)],
  [11, type("Q3_K", 256, 110, dequantizeQ3_K)],
  [12, type("Q4_K", 256, 144, dequantizeQ4_K)],
  [13, type("Q5_K", 256, 176, dequantizeQ5_K)],
  [14, type("Q6_K", 256, 210, dequantizeQ6_K)],
  [16, type("IQ2_XXS", 256, 66, dequantizeIQ2_XXS)],
  [20, type("IQ4_NL", 32, 18, dequantizeIQ4_NL)],
  [23, type("IQ4_XS", 256, 136, dequantizeIQ4_XS)],
  [30, type("BF16", 1, 2, halves(widenBF16))]
])

/** Types that ggml has or had and that we do not read, so that a refusal can name them. */
const others: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2"],
  [5, "Q4_3"],
  [9, "Q8_1"],
  [15, "Q8_K"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [39, "MXFP4"],
  [40, "NVFP4"],
  [41, "Q1_0"]
])

export const nameOfType = (id: number): string => tensorTypes.get(id)?.name ?? others.get(id) ?? `number ${id}`

/** For a refusal. */
export const readTypes = [...tensorTypes.values()].map(({ name }) => name).join(", ")

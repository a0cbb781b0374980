/**
 * The checkpoints of https://github.com/karpathy/llama2.c (export.py), little-endian:
 *
 *     legacy     7 x i32: d, hidden, layers, heads, kvHeads, vocabulary (below 0: an output matrix of its own), positions
 *                f32: embedding, norms of attention, wq, wk, wv, wo, norms of the MLP, w1, w2, w3 (each of all layers),
 *                last norm, cosines, sines [positions, headDim / 2], output
 *     version 1  "ak42" | i32 version | the same 7 | u8: the output is the embedding | zeros up to byte 256
 *                f32: norms of attention, norms of the MLP, last norm, embedding, wq, wk, wv, wo, w1, w2, w3, output
 *     version 2  as 1, with an i32 group size behind the u8; the norms in f32, each matrix as i8 values of all its rows, then an f32
 *                scale for every group of them
 *
 * The size of the file follows from the header, and must be what it is.
 */
import type { Result } from "effect"
import { Cursor } from "../gguf/Cursor.ts"
import { refusals, refuse } from "../refusal.ts"

export interface Llama2cShape {
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly vocabSize: number
  readonly maxPositions: number
  readonly tied: boolean
}

export type Encoding = { readonly _tag: "f32" } | { readonly _tag: "int8"; readonly groupSize: number }

/** One matrix or vector of the model, by transformers' name, and where it lies. */
export interface Llama2cTensor {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly elements: number
  /** From the start of the file. */
  readonly begin: number
  readonly encoding: Encoding
  /** Heads whose rows are pairs side by side; 0 where there is nothing to move. */
  readonly pairedHeads: number
}

export interface Llama2cHeader {
  readonly shape: Llama2cShape
  readonly tensors: ReadonlyArray<Llama2cTensor>
}

/** As many bytes as a header has. */
export const headerBytes = 256

/** "ak42" as the i32 that export.py writes. */
const magic = 0x616b3432

/** The header in the first `headerBytes` (or all) of a file of `fileSize`. */
export const parseLlama2c = (bytes: Uint8Array, fileSize: number): Result.Result<Llama2cHeader, string> =>
  refusals(() => {
    const cursor = new Cursor(bytes, fileSize)
    if (fileSize < 28) refuse(`truncated: the header of a llama2.c checkpoint has 28 bytes, the file ${fileSize}`)
    const isVersioned = cursor.u32("the magic") === magic
    if (!isVersioned) return laidOut(legacyOf(new Cursor(bytes, fileSize)), 28, fileSize)
    const version = cursor.i32("the version")
    if (version !== 1 && version !== 2) refuse(`is version ${version} of llama2.c's checkpoints; 1 and 2 are read`)
    const shape = shapeOf(cursor)
    const tied = cursor.u8("the flag of the output") !== 0
    const groupSize = version === 2 ? cursor.i32("the group size") : 0
    if (version === 2 && groupSize < 1) refuse(`the group size is ${groupSize}`)
    const kind: Kind = version === 1 ? { _tag: "v1" } : { _tag: "v2", groupSize }
    return laidOut({ shape: { ...shape, tied }, kind }, headerBytes, fileSize)
  })

type Kind = { readonly _tag: "legacy" } | { readonly _tag: "v1" } | { readonly _tag: "v2"; readonly groupSize: number }

interface Read {
  readonly shape: Llama2cShape
  readonly kind: Kind
}

const legacyOf = (cursor: Cursor): Read => {
  const { vocabSize, ...rest } = shapeOf(cursor)
  return { shape: { ...rest, vocabSize: Math.abs(vocabSize), tied: vocabSize > 0 }, kind: { _tag: "legacy" } }
}

const shapeOf = (cursor: Cursor): Omit<Llama2cShape, "tied"> => {
  const [hiddenSize, intermediateSize, layers, heads, kvHeads, vocabSize, maxPositions] = Array.from(
    { length: 7 },
    () => cursor.i32("the header")
  )
  const sizes = { hiddenSize, intermediateSize, layers, heads, kvHeads, maxPositions }
  for (const [name, size] of Object.entries(sizes)) {
    if (size < 1) refuse(`is neither a GGUF file nor a llama2.c checkpoint: its ${name} would be ${size}`)
  }
  if (vocabSize === 0) refuse("is neither a GGUF file nor a llama2.c checkpoint: its vocabSize would be 0")
  if (hiddenSize % heads !== 0 || heads % kvHeads !== 0 || (hiddenSize / heads) % 2 !== 0) {
    refuse(
      `is neither a GGUF file nor a llama2.c checkpoint: ${heads} heads and ${kvHeads} key/value heads do not fit a width of ${hiddenSize}`
    )
  }
  return { ...sizes, vocabSize }
}

interface Block {
  readonly name: (layer: number) => string
  readonly shape: ReadonlyArray<number>
  readonly count: number
  readonly pairedHeads: number
}

const laidOut = ({ shape, kind }: Read, begin: number, fileSize: number): Llama2cHeader => {
  const { hiddenSize: d, intermediateSize: inner, layers, heads, kvHeads, vocabSize, maxPositions, tied } = shape
  const headDim = d / heads
  const one = (name: string, shape: ReadonlyArray<number>): Block => ({
    name: () => name,
    shape,
    count: 1,
    pairedHeads: 0
  })
  const each = (part: string, shape: ReadonlyArray<number>, pairedHeads = 0): Block => ({
    name: (layer) => `model.layers.${layer}.${part}.weight`,
    shape,
    count: layers,
    pairedHeads
  })
  const embedding = one("model.embed_tokens.weight", [vocabSize, d])
  const attentionNorms = each("input_layernorm", [d])
  const mlpNorms = each("post_attention_layernorm", [d])
  const lastNorm = one("model.norm.weight", [d])
  const attention = [
    each("self_attn.q_proj", [d, d], heads),
    each("self_attn.k_proj", [kvHeads * headDim, d], kvHeads),
    each("self_attn.v_proj", [kvHeads * headDim, d]),
    each("self_attn.o_proj", [d, d])
  ]
  const mlp = [each("mlp.gate_proj", [inner, d]), each("mlp.down_proj", [d, inner]), each("mlp.up_proj", [inner, d])]
  const output = tied ? [] : [one("lm_head.weight", [vocabSize, d])]
  // Cosines and sines say nothing that the header does not.
  const rotations = one("", [maxPositions, headDim])
  const blocks =
    kind._tag === "legacy"
      ? [embedding, attentionNorms, ...attention, mlpNorms, ...mlp, lastNorm, rotations, ...output]
      : [attentionNorms, mlpNorms, lastNorm, embedding, ...attention, ...mlp, ...output]

  let at = begin
  const tensors: Array<Llama2cTensor> = []
  for (const { name, shape, count, pairedHeads } of blocks) {
    const elements = shape.reduce((a, b) => a * b, 1)
    const encoding: Encoding =
      kind._tag === "v2" && shape.length === 2 ? { _tag: "int8", groupSize: kind.groupSize } : { _tag: "f32" }
    if (encoding._tag === "int8" && elements % encoding.groupSize !== 0) {
      refuse(`groups of ${encoding.groupSize} do not fit a matrix of ${shape.join(" x ")}`)
    }
    for (let layer = 0; layer < count; layer++) {
      if (name(layer) !== "") tensors.push({ name: name(layer), shape, elements, begin: at, encoding, pairedHeads })
      at += bytesOf(elements, encoding)
      if (at > fileSize) {
        refuse(
          `is neither a GGUF file nor a llama2.c checkpoint, or truncated: its header asks for more than the ${fileSize} bytes it has`
        )
      }
    }
  }
  if (at !== fileSize)
    refuse(`is neither a GGUF file nor a llama2.c checkpoint: its header asks for ${at} bytes, it has ${fileSize}`)
  return { shape, tensors }
}

export const bytesOf = (elements: number, encoding: Encoding): number =>
  encoding._tag === "f32" ? 4 * elements : elements + 4 * (elements / encoding.groupSize)

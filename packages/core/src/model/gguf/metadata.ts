/** ModelConfig -> the metadata of a GGUF file, as llama.cpp's convert_hf_to_gguf.py writes them. */
import type { ModelConfig } from "../ModelConfig.ts"
import { tokenIds } from "../ModelConfig.ts"
import type { Rope } from "../Rope.ts"
import { refuse } from "../refusal.ts"
import { llama3, ropeDivisors } from "./config.ts"
import type { Entry } from "./encode.ts"
import type { GgufType } from "./quantize.ts"

export type Entries = ReadonlyArray<readonly [key: string, Entry]>

const text = (value: string): Entry => ({ _tag: "text", value })
const u32 = (value: number): Entry => ({ _tag: "u32", value })
const f32 = (value: number): Entry => ({ _tag: "f32", value })

/** llama.cpp has no name of its own for Mistral: it is a llama with a window. */
export const architectureName = ({ family }: ModelConfig): string => (family === "mistral" ? "llama" : family)

/** enum llama_ftype: what most tensors are. */
const fileTypes: Readonly<Record<GgufType, number>> = { F32: 0, F16: 1, Q8_0: 7, BF16: 32 }

/** Refuses (see refusal.ts) what a GGUF file has no place for. */
export const metadataOf = (config: ModelConfig, type: GgufType): Entries => {
  const name = architectureName(config)
  const { family, norm, positions, window, mlp } = config
  if (window._tag === "sliding" && (family !== "mistral" || window.layers.length < config.layers)) {
    refuse(
      `a window of ${window.size} tokens in ${window.layers.length} layers has no place in a GGUF file of ${family}`
    )
  }
  if (mlp._tag === "gelu" && mlp.by !== "tanh") refuse("llama.cpp computes GELU by a hyperbolic tangent only")
  if (family === "gpt2" && !config.tieWordEmbeddings)
    refuse("an output matrix of its own has no place in a GGUF file of gpt2")
  const eps = norm._tag === "rms" ? "layer_norm_rms_epsilon" : "layer_norm_epsilon"
  return [
    ["general.architecture", text(name)],
    ["general.type", text("model")],
    ["general.file_type", u32(fileTypes[type])],
    ["general.quantization_version", u32(2)],
    [`${name}.context_length`, u32(config.maxPositions)],
    [`${name}.embedding_length`, u32(config.hiddenSize)],
    [`${name}.block_count`, u32(config.layers)],
    [`${name}.feed_forward_length`, u32(config.intermediateSize)],
    [`${name}.attention.head_count`, u32(config.heads)],
    [`${name}.attention.head_count_kv`, u32(config.kvHeads)],
    [`${name}.attention.${eps}`, f32(norm.eps)],
    ...(positions._tag === "rotary" ? rotaryOf(name, config, positions.rope) : []),
    ...(window._tag === "sliding" ? [[`${name}.attention.sliding_window`, u32(window.size)] as const] : []),
    ...tokensOf(["bos"], config.bos),
    ...tokensOf(["eos", "eot", "eom"], config.eos)
  ]
}

const rotaryOf = (name: string, { headDim, vocabSize }: ModelConfig, rope: Rope): Entries => {
  const at = (key: string) => `${name}.rope.${key}`
  const base: Entries = [
    [`${name}.vocab_size`, u32(vocabSize)],
    [`${name}.attention.key_length`, u32(headDim)],
    [`${name}.attention.value_length`, u32(headDim)],
    [at("dimension_count"), u32(headDim)],
    [at("freq_base"), f32(rope.theta)]
  ]
  switch (rope._tag) {
    case "default":
      return base
    case "linear":
      return [...base, [at("scaling.type"), text("linear")], [at("scaling.factor"), f32(rope.factor)]]
    case "llama3":
      return [...base, [at("scaling.original_context_length"), u32(rope.originalMaxPositions)]]
    case "yarn":
      return refuse("yarn's scaling of rotary positions is not written to GGUF files")
  }
}

/** llama.cpp has names for as many ends as these. */
const tokensOf = (names: ReadonlyArray<string>, token: ModelConfig["bos"]): Entries => {
  const ids = tokenIds(token)
  if (ids.length > names.length) refuse(`a GGUF file has no place for ${ids.length} ${names[0]} tokens`)
  return ids.map((id, i) => [`tokenizer.ggml.${names[i]}_token_id`, u32(id)] as const)
}

/** What llama.cpp divides frequencies by: the tensor rope_freqs.weight, where there is Llama 3's scaling. */
export const ropeFreqsOf = ({ headDim, positions }: ModelConfig): Float32Array | undefined => {
  if (positions._tag !== "rotary" || positions.rope._tag !== "llama3") return undefined
  const { lowFreqFactor: low, highFreqFactor: high, originalMaxPositions: original, ...rope } = positions.rope
  // They are read back by trying these.
  if (low !== llama3.low || high !== llama3.high) {
    return refuse(`Llama 3's scaling with the factors ${low} and ${high} is not written to GGUF files`)
  }
  return ropeDivisors(headDim, { ...rope, low, high, original })
}

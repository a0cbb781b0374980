/**
 * Llama, Mistral, Qwen2 and Qwen3: the same keys, other defaults, and what each of their classes in transformers fixes.
 */
import { Result, Schema } from "effect"
import type { Family } from "../families.ts"
import type { ModelConfig, SpecialToken, Window } from "../ModelConfig.ts"
import type { Json, Neutral } from "./refuse.ts"
import { absent, isOff, isZero, none, one, refuseUnlessNeutral, specialTokenOf, TokenId } from "./refuse.ts"
import { refuse } from "../refusal.ts"
import { ropeJson, ropeOf } from "./ropeJson.ts"

export type RotaryFamily = Exclude<Family, "gpt2">

const RopeDictionary = Schema.Record(Schema.String, Schema.Unknown)

const Keys = Schema.Struct({
  vocab_size: Schema.Int,
  hidden_size: Schema.Int,
  intermediate_size: Schema.Int,
  num_hidden_layers: Schema.Int,
  num_attention_heads: Schema.Int,
  num_key_value_heads: absent(Schema.Int),
  head_dim: absent(Schema.Int),
  max_position_embeddings: Schema.optionalKey(Schema.Int),
  rms_norm_eps: Schema.optionalKey(Schema.Finite),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  attention_bias: absent(Schema.Boolean),
  mlp_bias: absent(Schema.Boolean),
  sliding_window: absent(Schema.Union([Schema.Int, Schema.Literal(false)])),
  use_sliding_window: absent(Schema.Boolean),
  max_window_layers: absent(Schema.Int),
  layer_types: absent(Schema.Array(Schema.String)),
  bos_token_id: Schema.optionalKey(TokenId),
  eos_token_id: Schema.optionalKey(TokenId),
  rope_theta: absent(Schema.Finite),
  original_max_position_embeddings: absent(Schema.Int),
  rope_scaling: absent(RopeDictionary),
  rope_parameters: absent(RopeDictionary)
})
type Keys = typeof Keys.Type

interface Class {
  readonly name: string
  readonly maxPositions: number
  readonly bos: SpecialToken
  readonly eos: SpecialToken
  /** Where the key is missing; null there means as many as heads. */
  readonly kvHeads: (heads: number) => number
  readonly headDim: (hiddenSize: number, heads: number) => number
  readonly qkNorm: boolean
  readonly bias: (config: Keys) => ModelConfig["bias"]
  readonly window: (config: Keys) => Window
  readonly neutral: Neutral
}

const evenly = (hiddenSize: number, heads: number): number => Math.floor(hiddenSize / heads)
const noBias = { qkv: false, output: false, mlp: false } as const

const isSilu = (value: unknown) => value === "silu" || value === "swish"
const unbiased: Neutral = { attention_bias: isOff, mlp_bias: isOff }

const classes: Readonly<Record<RotaryFamily, Class>> = {
  llama: {
    name: "LlamaForCausalLM",
    maxPositions: 2048,
    bos: one(1),
    eos: one(2),
    kvHeads: (heads) => heads,
    headDim: evenly,
    qkNorm: false,
    bias: ({ attention_bias: attention, mlp_bias: mlp }) => ({
      qkv: attention ?? false,
      output: attention ?? false,
      mlp: mlp ?? false
    }),
    window: () => everything,
    neutral: { sliding_window: isOff, use_sliding_window: isOff, layer_types: allFull }
  },
  mistral: {
    name: "MistralForCausalLM",
    maxPositions: 131_072,
    bos: one(1),
    eos: one(2),
    kvHeads: () => 8,
    headDim: evenly,
    qkNorm: false,
    bias: () => noBias,
    window: mistralWindow,
    neutral: { ...unbiased, use_sliding_window: (value) => typeof value === "boolean" }
  },
  qwen2: {
    name: "Qwen2ForCausalLM",
    maxPositions: 32_768,
    bos: none,
    eos: none,
    kvHeads: () => 32,
    headDim: evenly,
    qkNorm: false,
    bias: () => ({ ...noBias, qkv: true }),
    window: qwenWindow,
    neutral: unbiased
  },
  qwen3: {
    name: "Qwen3ForCausalLM",
    maxPositions: 32_768,
    bos: none,
    eos: none,
    kvHeads: () => 32,
    headDim: () => 128,
    qkNorm: true,
    bias: ({ attention_bias: attention }) => ({ qkv: attention ?? false, output: attention ?? false, mlp: false }),
    window: qwenWindow,
    neutral: { mlp_bias: isOff }
  }
}

/** The name of a family's class with a head. */
export const className = (family: RotaryFamily): string => classes[family].name

export const rotaryConfig = (family: RotaryFamily, json: Json): ModelConfig => {
  const ofClass = classes[family]
  refuseUnlessNeutral(json, { hidden_act: isSilu, attention_dropout: isZero, ...ofClass.neutral })
  const decoded = Schema.decodeUnknownResult(Keys)(json)
  if (Result.isFailure(decoded)) return refuse(decoded.failure.message.replaceAll(/\s*\n\s*/g, " "))
  const config = decoded.success
  if (config.num_hidden_layers > mostLayers) {
    return refuse(`num_hidden_layers is ${config.num_hidden_layers}; more than ${mostLayers} are not supported`)
  }
  const heads = config.num_attention_heads
  if (config.head_dim == null && ofClass.headDim === evenly && config.hidden_size % heads !== 0) {
    return refuse(`the hidden size ${config.hidden_size} is no multiple of the ${heads} attention heads`)
  }
  const kvHeads = config.num_key_value_heads === undefined ? ofClass.kvHeads(heads) : config.num_key_value_heads
  const maxPositions = config.max_position_embeddings ?? ofClass.maxPositions
  return {
    family,
    vocabSize: config.vocab_size,
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads,
    kvHeads: kvHeads ?? heads,
    headDim: config.head_dim ?? ofClass.headDim(config.hidden_size, heads),
    norm: { _tag: "rms", eps: config.rms_norm_eps ?? 1e-6 },
    qkNorm: ofClass.qkNorm,
    positions: { _tag: "rotary", rope: ropeOf(config, maxPositions) },
    mlp: { _tag: "swiglu" },
    window: ofClass.window(config),
    bias: ofClass.bias(config),
    tieWordEmbeddings: config.tie_word_embeddings ?? false,
    maxPositions,
    bos: specialTokenOf(config.bos_token_id, ofClass.bos),
    eos: specialTokenOf(config.eos_token_id, ofClass.eos)
  }
}

/** What a layer does is listed layer by layer, so a number that lies is found out before the list is made. */
const mostLayers = 2 ** 16

const everything: Window = { _tag: "everything" }

function allFull(value: unknown): boolean {
  return Array.isArray(value) && value.every((type) => type === "full_attention")
}

const sliding = (size: number, layers: ReadonlyArray<number>): Window =>
  layers.length === 0 ? everything : { _tag: "sliding", size, layers }

const indices = (count: number, from: number): ReadonlyArray<number> =>
  Array.from({ length: Math.max(0, count - from) }, (_, i) => from + i)

/** All layers slide, or none. `layer_types` says nothing to MistralForCausalLM, so it must not say anything else. */
function mistralWindow({ num_hidden_layers: layers, sliding_window: size, layer_types: types }: Keys): Window {
  const window = size === null || size === false ? everything : sliding(size ?? 4096, indices(layers, 0))
  const type = window === everything ? "full_attention" : "sliding_attention"
  const other = types?.find((of) => of !== type)
  if (other !== undefined) return refuse(`layer_types has ${JSON.stringify(other)}; Mistral's layers are all ${type}`)
  return window
}

/**
 * `use_sliding_window` lets the layers from `max_window_layers` on slide, or those that `layer_types` names. A window that is null is
 * none.
 */
function qwenWindow(config: Keys): Window {
  const { num_hidden_layers: layers, layer_types: types } = config
  const { sliding_window: given = 4096 } = config
  const size = config.use_sliding_window === true && given !== null ? given : false
  if (types == null) return size === false ? everything : sliding(size, indices(layers, config.max_window_layers ?? 28))
  if (types.length !== layers) return refuse(`layer_types has ${types.length} entries for ${layers} layers`)
  const unknown = types.find((type) => type !== "full_attention" && type !== "sliding_attention")
  if (unknown !== undefined) return refuse(`layer_types ${JSON.stringify(unknown)} is not supported`)
  const slide = indices(layers, 0).filter((layer) => types[layer] === "sliding_attention")
  if (size === false && slide.length > 0) {
    return refuse("layer_types has sliding_attention, but use_sliding_window or sliding_window is off")
  }
  return size === false ? everything : sliding(size, slide)
}

export const rotaryJson = (family: RotaryFamily, config: ModelConfig): Json => {
  const { norm, positions } = config
  return {
    architectures: [classes[family].name],
    model_type: family,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: "silu",
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: norm.eps,
    tie_word_embeddings: config.tieWordEmbeddings,
    attention_dropout: 0,
    ...biasJson(family, config),
    ...windowJson(family, config),
    initializer_range: 0.02,
    ...(positions._tag === "rotary" ? ropeJson(positions.rope) : {})
  }
}

const biasJson = (family: RotaryFamily, { bias }: ModelConfig): Json => {
  if (family === "llama") return { attention_bias: bias.qkv, mlp_bias: bias.mlp }
  return family === "qwen3" ? { attention_bias: bias.qkv } : {}
}

const windowJson = (family: RotaryFamily, { window, layers }: ModelConfig): Json => {
  const size = window._tag === "sliding" ? window.size : null
  if (family === "llama") return {}
  if (family === "mistral") return { sliding_window: size }
  const slides = (layer: number) => window._tag === "sliding" && window.layers.includes(layer)
  return {
    use_sliding_window: size !== null,
    sliding_window: size,
    layer_types: indices(layers, 0).map((layer) => (slides(layer) ? "sliding_attention" : "full_attention"))
  }
}

/**
 * Hugging Face's config.json <-> ModelConfig. What Foretoken does not compute is refused by name, never ignored.
 * Missing keys have the defaults of transformers' LlamaConfig; sizes must be given.
 */
import { Predicate, Result, Schema } from "effect"
import { ModelConfigError, makeModelConfig } from "./ModelConfig.ts"
import type { ModelConfig, Rope, SpecialToken } from "./ModelConfig.ts"

const TokenId = Schema.Union([Schema.Int, Schema.Array(Schema.Int), Schema.Null])
const RopeDictionary = Schema.Record(Schema.String, Schema.Unknown)
const absent = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const HuggingFaceConfig = Schema.Struct({
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
  bos_token_id: Schema.optionalKey(TokenId),
  eos_token_id: Schema.optionalKey(TokenId),
  rope_theta: absent(Schema.Finite),
  rope_scaling: absent(RopeDictionary),
  rope_parameters: absent(RopeDictionary)
})
type HuggingFaceConfig = typeof HuggingFaceConfig.Type

/** Keys that change what the model computes, and the values under which they change nothing. */
const neutral: Readonly<Record<string, (value: unknown) => boolean>> = {
  hidden_act: (value) => value === "silu" || value === "swish",
  attention_bias: isOff,
  mlp_bias: isOff,
  attention_dropout: isZero,
  sliding_window: isOff,
  use_sliding_window: isOff,
  layer_types: (value) => Array.isArray(value) && value.every((type) => type === "full_attention"),
  partial_rotary_factor: (value) => value === 1,
  rope_interleaved: isOff,
  attn_logit_softcapping: isOff,
  final_logit_softcapping: isOff,
  logit_scale: (value) => value === 1,
  logits_scaling: (value) => value === 1,
  embedding_multiplier: (value) => value === 1,
  residual_multiplier: (value) => value === 1,
  attention_multiplier: () => false,
  use_qk_norm: isOff,
  qk_norm: isOff,
  num_local_experts: isZero,
  num_experts: isZero,
  quantization_config: isOff,
  auto_map: isOff,
  is_encoder_decoder: isOff,
  add_cross_attention: isOff,
  pruned_heads: (value) => Predicate.isObject(value) && Object.keys(value).length === 0
}

function isOff(value: unknown): boolean {
  return value === false
}

function isZero(value: unknown): boolean {
  return value === 0
}

/** Why a config is refused. Thrown inside this file only; callers see a `Result`. */
class Refusal extends Error {}

const refuse = (reason: string): never => {
  throw new Refusal(reason)
}

/** A parsed config.json; `path` is what errors name. */
export const fromHuggingFace = (
  json: unknown,
  path: string = "config.json"
): Result.Result<ModelConfig, ModelConfigError> => {
  try {
    return makeModelConfig(modelConfigOf(json), path)
  } catch (cause) {
    if (cause instanceof Refusal) return Result.fail(new ModelConfigError({ path, reason: cause.message }))
    throw cause
  }
}

const modelConfigOf = (json: unknown): ModelConfig => {
  if (!Predicate.isObject(json)) return refuse("must be a JSON object")
  refuseUnsupported(json)
  const decoded = Schema.decodeUnknownResult(HuggingFaceConfig)(json)
  if (Result.isFailure(decoded)) return refuse(decoded.failure.message.replaceAll(/\s*\n\s*/g, " "))
  const config = decoded.success
  const heads = config.num_attention_heads
  return {
    architecture: "llama",
    vocabSize: config.vocab_size,
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads,
    kvHeads: config.num_key_value_heads ?? heads,
    headDim: config.head_dim ?? Math.floor(config.hidden_size / heads),
    rmsNormEps: config.rms_norm_eps ?? 1e-6,
    tieWordEmbeddings: config.tie_word_embeddings ?? false,
    maxPositions: config.max_position_embeddings ?? 2048,
    rope: ropeOf(config),
    bos: specialTokenOf(config.bos_token_id, 1),
    eos: specialTokenOf(config.eos_token_id, 2)
  }
}

const refuseUnsupported = (json: { readonly [key: PropertyKey]: unknown }): void => {
  const { model_type: type, architectures } = json
  if (type !== "llama") {
    refuse(
      type === undefined ? "has no model_type" : `model_type ${JSON.stringify(type)} is not supported, only "llama" is`
    )
  }
  if (Array.isArray(architectures) && !architectures.includes("LlamaForCausalLM")) {
    refuse(`architectures ${JSON.stringify(architectures)} are not supported, only "LlamaForCausalLM" is`)
  }
  for (const [key, isNeutral] of Object.entries(neutral)) {
    const value = json[key]
    if (value !== undefined && value !== null && !isNeutral(value)) {
      refuse(`${key} ${JSON.stringify(value)} is not supported`)
    }
  }
}

const specialTokenOf = (ids: number | ReadonlyArray<number> | null | undefined, missing: number): SpecialToken => {
  if (ids === undefined) return { _tag: "one", id: missing }
  if (ids === null) return { _tag: "none" }
  return typeof ids === "number" ? { _tag: "one", id: ids } : { _tag: "several", ids }
}

/** transformers 5 writes `rope_parameters`, 4 writes `rope_theta` and `rope_scaling`; where a file has both they must agree. */
const ropeOf = (config: HuggingFaceConfig): Rope => {
  const { rope_theta: theta, rope_scaling: scaling, rope_parameters: parameters } = config
  const old = scaling == null ? undefined : ropeOfDictionary("rope_scaling", scaling, theta)
  const current = parameters == null ? undefined : ropeOfDictionary("rope_parameters", parameters, theta)
  if (old !== undefined && current !== undefined && JSON.stringify(old) !== JSON.stringify(current)) {
    return refuse("rope_scaling and rope_parameters contradict each other")
  }
  return current ?? old ?? { _tag: "default", theta: theta ?? defaultTheta }
}

const defaultTheta = 10_000

const ropeOfDictionary = (
  where: string,
  dictionary: Readonly<Record<string, unknown>>,
  outerTheta: number | null | undefined
): Rope => {
  const {
    type: oldType,
    rope_type: newType,
    rope_theta: innerTheta,
    partial_rotary_factor: partial,
    ...rest
  } = dictionary
  if (oldType !== undefined && newType !== undefined && oldType !== newType) {
    return refuse(`${where} has type ${JSON.stringify(oldType)} and rope_type ${JSON.stringify(newType)}`)
  }
  if (partial !== undefined && partial !== 1)
    refuse(`${where}.partial_rotary_factor ${JSON.stringify(partial)} is not supported`)
  const number = (key: string, value: unknown): number =>
    typeof value === "number"
      ? value
      : refuse(`${where}.${key} must be a number, not ${JSON.stringify(value) ?? "missing"}`)
  const theta = innerTheta === undefined ? (outerTheta ?? defaultTheta) : number("rope_theta", innerTheta)
  if (outerTheta != null && outerTheta !== theta)
    refuse(`rope_theta ${outerTheta} contradicts ${where}.rope_theta ${theta}`)
  const only = (...keys: ReadonlyArray<string>): void => {
    const other = Object.keys(rest).find((key) => !keys.includes(key))
    if (other !== undefined) refuse(`${where}.${other} is not supported`)
  }
  const type = newType ?? oldType ?? "default"
  if (type === "default") {
    only()
    return { _tag: "default", theta }
  }
  if (type === "linear") {
    only("factor")
    return { _tag: "linear", theta, factor: number("factor", rest["factor"]) }
  }
  if (type === "llama3") {
    only("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    return {
      _tag: "llama3",
      theta,
      factor: number("factor", rest["factor"]),
      lowFreqFactor: number("low_freq_factor", rest["low_freq_factor"]),
      highFreqFactor: number("high_freq_factor", rest["high_freq_factor"]),
      originalMaxPositions: number("original_max_position_embeddings", rest["original_max_position_embeddings"])
    }
  }
  return refuse(`rope type ${JSON.stringify(type)} is not supported, only "default", "linear" and "llama3" are`)
}

/** config.json for transformers 4 (rope_theta, rope_scaling, torch_dtype) and 5 (rope_parameters, dtype) alike. */
export const toHuggingFace = (config: ModelConfig): Readonly<Record<string, unknown>> => {
  const scaling = ropeScalingOf(config.rope)
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: "silu",
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    tie_word_embeddings: config.tieWordEmbeddings,
    attention_bias: false,
    attention_dropout: 0,
    mlp_bias: false,
    initializer_range: 0.02,
    ...generationTokens(config),
    pad_token_id: null,
    rope_theta: config.rope.theta,
    rope_scaling: scaling,
    rope_parameters: { rope_theta: config.rope.theta, ...(scaling ?? { rope_type: "default" }) },
    dtype: "float32",
    torch_dtype: "float32",
    use_cache: true
  }
}

/** What generation_config.json has of the model: where sequences begin and end. */
export const generationTokens = ({ bos, eos }: ModelConfig): Readonly<Record<string, unknown>> => ({
  bos_token_id: huggingFaceToken(bos),
  eos_token_id: huggingFaceToken(eos)
})

const huggingFaceToken = (token: SpecialToken): number | ReadonlyArray<number> | null =>
  token._tag === "none" ? null : token._tag === "one" ? token.id : token.ids

const ropeScalingOf = (rope: Rope): Readonly<Record<string, unknown>> | null => {
  if (rope._tag === "default") return null
  if (rope._tag === "linear") return { rope_type: "linear", factor: rope.factor }
  return {
    rope_type: "llama3",
    factor: rope.factor,
    low_freq_factor: rope.lowFreqFactor,
    high_freq_factor: rope.highFreqFactor,
    original_max_position_embeddings: rope.originalMaxPositions
  }
}

/**
 * Hugging Face's config.json <-> ModelConfig. What Foretoken does not compute is refused by name, never ignored.
 * Missing keys have the defaults of the family's class in transformers.
 */
import { Predicate, Result } from "effect"
import type { Family } from "./families.ts"
import { families } from "./families.ts"
import { gpt2Class, gpt2Config, gpt2Json } from "./huggingFace/gpt2.ts"
import type { Json, Neutral } from "./huggingFace/refuse.ts"
import { isOff, isOne, isZero, never, refuseUnlessNeutral } from "./huggingFace/refuse.ts"
import { className, rotaryConfig, rotaryJson } from "./huggingFace/rotaryFamilies.ts"
import { ModelConfigError, makeModelConfig, tokenIds } from "./ModelConfig.ts"
import type { ModelConfig, SpecialToken } from "./ModelConfig.ts"
import { refusals, refuse } from "./refusal.ts"

/** What no family here has; a family's own keys are in its file. */
const neutral: Neutral = {
  partial_rotary_factor: isOne,
  rope_interleaved: isOff,
  no_rope_layers: never,
  use_mrope: isOff,
  attn_logit_softcapping: isOff,
  final_logit_softcapping: isOff,
  logit_scale: isOne,
  logits_scaling: isOne,
  embedding_multiplier: isOne,
  residual_multiplier: isOne,
  attention_multiplier: never,
  use_qk_norm: isOff,
  qk_norm: isOff,
  num_local_experts: isZero,
  num_experts: isZero,
  quantization_config: isOff,
  auto_map: isOff,
  is_causal: (value) => value === true,
  use_bidirectional_attention: isOff,
  per_layer_config: isEmpty,
  is_encoder_decoder: isOff,
  add_cross_attention: isOff,
  pruned_heads: isEmpty
}

function isEmpty(value: unknown): boolean {
  return Predicate.isObject(value) && Object.keys(value).length === 0
}

/** A parsed config.json; `path` is what errors name. */
export const fromHuggingFace = (
  json: unknown,
  path: string = "config.json"
): Result.Result<ModelConfig, ModelConfigError> => {
  const parsed = refusals(() => modelConfigOf(json))
  return Result.isSuccess(parsed)
    ? makeModelConfig(parsed.success, path)
    : Result.fail(new ModelConfigError({ path, reason: parsed.failure }))
}

const modelConfigOf = (json: unknown): ModelConfig => {
  if (!isJson(json)) return refuse("must be a JSON object")
  const family = familyOf(json)
  refuseUnlessNeutral(json, neutral)
  return family === "gpt2" ? gpt2Config(json) : rotaryConfig(family, json)
}

const isJson = (json: unknown): json is Json => Predicate.isObject(json)

const familyOf = ({ model_type: type, architectures }: Json): Family => {
  const family = families.find((family) => family === type)
  if (family === undefined) {
    const known = families.map((family) => JSON.stringify(family)).join(", ")
    return refuse(
      type === undefined
        ? "has no model_type"
        : `model_type ${JSON.stringify(type)} is not supported, only ${known} are`
    )
  }
  const expected = family === "gpt2" ? gpt2Class : className(family)
  if (Array.isArray(architectures) && !architectures.includes(expected)) {
    return refuse(`architectures ${JSON.stringify(architectures)} are not supported, only "${expected}" is`)
  }
  return family
}

/** config.json for transformers 4 (rope_theta, rope_scaling, torch_dtype) and 5 (rope_parameters, dtype) alike. */
export const toHuggingFace = (config: ModelConfig): Json => ({
  ...(config.family === "gpt2" ? gpt2Json(config) : rotaryJson(config.family, config)),
  ...generationTokens(config),
  pad_token_id: null,
  dtype: "float32",
  torch_dtype: "float32",
  use_cache: true
})

/**
 * A config with the ends of text that a parsed generation_config.json adds: chat models often end a turn with another token
 * than a text. Ids outside the vocabulary are never drawn and say nothing. What else it has are wishes about sampling.
 */
export const withGenerationConfig = (
  config: ModelConfig,
  json: unknown,
  path: string = "generation_config.json"
): Result.Result<ModelConfig, ModelConfigError> => {
  const fail = (reason: string) => Result.fail(new ModelConfigError({ path, reason }))
  if (!isJson(json)) return fail("must be a JSON object")
  const given = json["eos_token_id"] ?? []
  const more: ReadonlyArray<unknown> = Array.isArray(given) ? given : [given]
  if (!more.every((id) => Number.isSafeInteger(id))) {
    return fail(`eos_token_id must be a token id or several, not ${JSON.stringify(given)}`)
  }
  const drawn = more.filter((id): id is number => typeof id === "number" && id >= 0 && id < config.vocabSize)
  const before = tokenIds(config.eos)
  const ids = [...new Set([...before, ...drawn])]
  if (ids.length === before.length) return Result.succeed(config)
  return Result.succeed({ ...config, eos: ids.length === 1 ? { _tag: "one", id: ids[0] } : { _tag: "several", ids } })
}

/** What generation_config.json has of the model: where sequences begin and end. */
export const generationTokens = ({ bos, eos }: ModelConfig): Json => ({
  bos_token_id: huggingFaceToken(bos),
  eos_token_id: huggingFaceToken(eos)
})

const huggingFaceToken = (token: SpecialToken): number | ReadonlyArray<number> | null =>
  token._tag === "none" ? null : token._tag === "one" ? token.id : token.ids

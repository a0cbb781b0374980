/** The metadata of a GGUF file -> what config.json of the same model says. What it asks for is judged by `fromHuggingFace`. */
import { quote, refuse } from "../refusal.ts"
import { architectures } from "./architecture.ts"
import type { Architecture } from "./architecture.ts"
import { entriesOf, shortest } from "./Entries.ts"
import type { Entries } from "./Entries.ts"
import type { Metadata, MetadataValue } from "./header.ts"

/** What the tensors of a file say that its metadata do not. */
export interface Hints {
  readonly vocabSize: number
  /** Without an output matrix the embedding is it. */
  readonly hasOutput: boolean
  readonly hasAttentionBias: boolean
  readonly hasMlpBias: boolean
  /** `rope_freqs.weight`: by what each frequency is divided. */
  readonly ropeFactors: ArrayLike<number> | undefined
}

export const architectureOf = (metadata: Metadata): readonly [name: string, Architecture] => {
  const name = entriesOf(metadata).text("general.architecture") ?? refuse("has no general.architecture")
  const architecture = Object.hasOwn(architectures, name) ? architectures[name] : undefined
  if (architecture === undefined) {
    const known = Object.keys(architectures).join(", ")
    return refuse(`the architecture ${quote(name)} is not supported; ${known} are`)
  }
  return [name, architecture]
}

/** A config.json as transformers would have it. Refuses (see refusal.ts) what has no place there. */
export const configJsonOf = (metadata: Metadata, hints: Hints): Readonly<Record<string, unknown>> => {
  const [name] = architectureOf(metadata)
  const entries = entriesOf(metadata)
  refuseUnsupported(name, metadata)
  const stated = entries.number(`${name}.vocab_size`) ?? hints.vocabSize
  if (stated !== hints.vocabSize)
    refuse(`${name}.vocab_size is ${stated}, token_embd.weight has ${hints.vocabSize} rows`)
  const common = {
    vocab_size: hints.vocabSize,
    bos_token_id: entries.number("tokenizer.ggml.bos_token_id") ?? null,
    eos_token_id: endsOf(entries)
  }
  return name === "gpt2" ? { ...common, ...gpt2Of(entries) } : { ...common, ...llamaLikeOf(name, entries, hints) }
}

/** What ends a text, a turn or a message: whatever of these a file names. */
const endsOf = (entries: Entries): number | ReadonlyArray<number> | null => {
  const ids = ["eos", "eot", "eom"].flatMap((end) => entries.number(`tokenizer.ggml.${end}_token_id`) ?? [])
  const [first, ...more] = new Set(ids)
  return first === undefined ? null : more.length === 0 ? first : [first, ...more]
}

const needed = (entries: Entries, key: string): number =>
  entries.uniform(key) ?? refuse(`has no metadata ${quote(key)}`)

/** Keys behind an architecture's name: those that are read here, and those by which nothing is computed. */
const known: ReadonlySet<string> = new Set([
  "vocab_size",
  "context_length",
  "embedding_length",
  "block_count",
  "feed_forward_length",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.key_length",
  "attention.value_length",
  "attention.layer_norm_epsilon",
  "attention.layer_norm_rms_epsilon",
  "attention.sliding_window",
  "rope.dimension_count",
  "rope.freq_base",
  "rope.scale_linear",
  "rope.scaling.type",
  "rope.scaling.factor",
  "rope.scaling.original_context_length",
  "rope.scaling.finetuned",
  // Said of yarn only, and refused there.
  "rope.scaling.yarn_beta_fast",
  "rope.scaling.yarn_beta_slow",
  // Of how tensors were laid out before; of experts where there are none; of embeddings of texts.
  "tensor_data_layout",
  "expert_used_count",
  "pooling_type"
])

/** What other keys may say, and it changes nothing. */
const isNeutral = (key: string, value: MetadataValue): boolean => {
  if (key === "attention.causal") return value === true
  if (/^(?:embedding_scale|residual_scale|logit_scale|rope\.scaling\.(?:yarn_)?attn_factor)$/.test(key) && value === 1)
    return true
  return value === 0 || value === false
}

/** llama.cpp computes by keys that no family here has, whatever the architecture. */
const refuseUnsupported = (name: string, metadata: Metadata): void => {
  for (const [key, value] of metadata) {
    const own = key.startsWith(`${name}.`) ? key.slice(name.length + 1) : undefined
    if (own === undefined || known.has(own) || isNeutral(own, value)) continue
    refuse(`${quote(key)} is ${told(value)}, which is not supported`)
  }
  const entries = entriesOf(metadata)
  const type = entries.text("general.type") ?? "model"
  if (type !== "model") refuse(`is a GGUF file of type ${quote(type)} and no model`)
  const parts = entries.number("split.count") ?? 1
  if (parts > 1) refuse(`is one of ${parts} parts; llama-gguf-split --merge makes one file of them`)
}

const told = (value: MetadataValue): string => {
  if (typeof value === "number") return String(shortest(value))
  return typeof value === "string" || typeof value === "boolean" ? quote(value) : `${value}`.slice(0, 60)
}

const gpt2Of = (entries: Entries): Readonly<Record<string, unknown>> => ({
  model_type: "gpt2",
  architectures: ["GPT2LMHeadModel"],
  n_embd: needed(entries, "gpt2.embedding_length"),
  n_head: needed(entries, "gpt2.attention.head_count"),
  n_layer: needed(entries, "gpt2.block_count"),
  n_positions: needed(entries, "gpt2.context_length"),
  n_inner: needed(entries, "gpt2.feed_forward_length"),
  layer_norm_epsilon: shortest(needed(entries, "gpt2.attention.layer_norm_epsilon")),
  activation_function: "gelu_new",
  // Where there is an output matrix too, it is a copy; `checkWeights` holds it to that.
  tie_word_embeddings: true
})

/** llama, qwen2, qwen3: one layout of metadata. */
const llamaLikeOf = (name: string, entries: Entries, hints: Hints): Readonly<Record<string, unknown>> => {
  const at = (key: string) => `${name}.${key}`
  const heads = needed(entries, at("attention.head_count"))
  const hidden = needed(entries, at("embedding_length"))
  const keyLength = entries.number(at("attention.key_length"))
  const headDim =
    keyLength ?? (name === "llama" ? entries.number(at("rope.dimension_count")) : undefined) ?? hidden / heads
  const valueLength = entries.number(at("attention.value_length")) ?? headDim
  if (valueLength !== headDim) refuse(`keys of ${headDim} and values of ${valueLength} are not supported`)
  const turned = entries.number(at("rope.dimension_count")) ?? headDim
  if (turned !== headDim) refuse(`${at("rope.dimension_count")} ${turned} of ${headDim} is not supported`)
  const window = entries.number(at("attention.sliding_window")) ?? 0
  const isMistral = name === "llama" && window > 0
  if (window > 0 && !isMistral) refuse(`${at("attention.sliding_window")} ${window} is not supported`)
  const theta = shortest(entries.number(at("rope.freq_base")) ?? 10_000)
  const family = isMistral ? "mistral" : name
  return {
    model_type: family,
    architectures: [{ llama: "Llama", mistral: "Mistral", qwen2: "Qwen2", qwen3: "Qwen3" }[family] + "ForCausalLM"],
    hidden_size: hidden,
    intermediate_size: needed(entries, at("feed_forward_length")),
    num_hidden_layers: needed(entries, at("block_count")),
    num_attention_heads: heads,
    num_key_value_heads: entries.uniform(at("attention.head_count_kv")) ?? heads,
    head_dim: headDim,
    hidden_act: "silu",
    max_position_embeddings: needed(entries, at("context_length")),
    rms_norm_eps: shortest(needed(entries, at("attention.layer_norm_rms_epsilon"))),
    tie_word_embeddings: !hints.hasOutput,
    // Qwen2 always has biases, and no key that says so.
    ...(name === "qwen2" ? {} : { attention_bias: hints.hasAttentionBias }),
    mlp_bias: hints.hasMlpBias,
    ...(isMistral ? { sliding_window: window } : {}),
    rope_theta: theta,
    rope_scaling: ropeScalingOf(name, entries, hints, { headDim, theta })
  }
}

const ropeScalingOf = (
  name: string,
  entries: Entries,
  { ropeFactors }: Hints,
  rope: { readonly headDim: number; readonly theta: number }
): Readonly<Record<string, unknown>> | null => {
  const at = (key: string) => `${name}.rope.scaling.${key}`
  const type = entries.text(at("type")) ?? "none"
  const original = entries.number(at("original_context_length"))
  if (ropeFactors !== undefined) return llama3Of(ropeFactors, rope, original)
  // Before 2023-10 there was one kind of scaling, and a key of its own.
  const old = entries.number(`${name}.rope.scale_linear`)
  if (type === "none") return old === undefined || old === 1 ? null : { rope_type: "linear", factor: shortest(old) }
  const factor = shortest(entries.number(at("factor")) ?? 1)
  if (type === "linear") return factor === 1 ? null : { rope_type: "linear", factor }
  const other = yarnKeys.find((key) => entries.number(at(key)) !== undefined)
  if (other !== undefined) refuse(`${at(other)} is not supported`)
  const rest = original === undefined ? {} : { original_max_position_embeddings: original }
  return { rope_type: type, factor, ...rest }
}

/** Where a file says more about yarn than its factor. */
const yarnKeys = [
  "attn_factor",
  "yarn_log_multiplier",
  "yarn_ext_factor",
  "yarn_attn_factor",
  "yarn_beta_fast",
  "yarn_beta_slow"
]

/**
 * Llama 3's scaling is stored as what came of it: a divisor for each frequency. The numbers it was made from are those of
 * Llama 3.1 but for the factor, which is the largest divisor, and the original context, of which some files tell.
 */
const llama3Of = (
  factors: ArrayLike<number>,
  { headDim, theta }: { readonly headDim: number; readonly theta: number },
  original: number | undefined
): Readonly<Record<string, unknown>> | null => {
  const given = Array.from(factors)
  if (given.length !== headDim / 2) {
    return refuse(`rope_freqs.weight has ${given.length} divisors; ${headDim / 2} were expected`)
  }
  const factor = given.reduce((a, b) => Math.max(a, b), 1)
  if (given.every((divisor) => divisor === 1)) return null
  for (const context of original === undefined ? [8192] : [original, 8192]) {
    const made = ropeDivisors(headDim, { ...llama3, theta, factor, original: context })
    if (given.every((divisor, i) => Math.abs(divisor - made[i]) <= 1e-4 * made[i])) {
      return {
        rope_type: "llama3",
        factor: shortest(factor),
        low_freq_factor: llama3.low,
        high_freq_factor: llama3.high,
        original_max_position_embeddings: context
      }
    }
  }
  return refuse("rope_freqs.weight holds another scaling than Llama 3.1's, which is not supported")
}

/** Of Llama 3.1 and all that came after it. */
export const llama3 = { low: 1, high: 4 } as const

/** By what Llama 3's scaling divides the frequency of each pair: [headDim / 2]. */
export const ropeDivisors = (
  headDim: number,
  rope: {
    readonly theta: number
    readonly factor: number
    readonly low: number
    readonly high: number
    readonly original: number
  }
): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const turns = (rope.original * rope.theta ** ((-2 * i) / headDim)) / (2 * Math.PI)
    const kept = Math.min(1, Math.max(0, (turns - rope.low) / (rope.high - rope.low)))
    return 1 / ((1 - kept) / rope.factor + kept)
  })

import { Result, Schema } from "effect"
import type { ModelConfig, SpecialToken } from "../ModelConfig.ts"
import type { Json, Neutral } from "./refuse.ts"
import { absent, isOff, none, refuseUnlessNeutral, specialTokenOf, TokenId } from "./refuse.ts"
import { refuse } from "../refusal.ts"

export const gpt2Class = "GPT2LMHeadModel"

const activations = {
  gelu: "exact",
  gelu_new: "tanh",
  gelu_pytorch_tanh: "tanh",
  gelu_fast: "tanh"
} as const

const Keys = Schema.Struct({
  vocab_size: Schema.optionalKey(Schema.Int),
  n_positions: Schema.optionalKey(Schema.Int),
  n_embd: Schema.optionalKey(Schema.Int),
  n_layer: Schema.optionalKey(Schema.Int),
  n_head: Schema.optionalKey(Schema.Int),
  n_inner: absent(Schema.Int),
  activation_function: Schema.optionalKey(Schema.String),
  layer_norm_epsilon: Schema.optionalKey(Schema.Finite),
  tie_word_embeddings: Schema.optionalKey(Schema.Boolean),
  bos_token_id: Schema.optionalKey(TokenId),
  eos_token_id: Schema.optionalKey(TokenId)
})

/**
 * `reorder_and_upcast_attn` says how to round, not what. The dropouts (`attn_pdrop` and so on) are settings of a training
 * that we do not repeat: ours has none.
 */
const neutral: Neutral = { scale_attn_weights: (value) => value === true, scale_attn_by_inverse_layer_idx: isOff }

/** Names that GPT2Config takes for its own. */
const otherNames = {
  hidden_size: "n_embd",
  max_position_embeddings: "n_positions",
  num_attention_heads: "n_head",
  num_hidden_layers: "n_layer"
} as const

const inOwnNames = (json: Json): Json => {
  const own: Record<string, unknown> = { ...json }
  for (const [other, name] of Object.entries(otherNames)) {
    const value = json[other]
    if (value === undefined) continue
    if (json[name] !== undefined && json[name] !== value) {
      refuse(`${other} ${JSON.stringify(value)} contradicts ${name} ${JSON.stringify(json[name])}`)
    }
    own[name] = value
  }
  return own
}

export const gpt2Config = (given: Json): ModelConfig => {
  const json = inOwnNames(given)
  refuseUnlessNeutral(json, neutral)
  const decoded = Schema.decodeUnknownResult(Keys)(json)
  if (Result.isFailure(decoded)) return refuse(decoded.failure.message.replaceAll(/\s*\n\s*/g, " "))
  const config = decoded.success
  const activation = config.activation_function ?? "gelu_new"
  if (!isActivation(activation)) {
    return refuse(`activation_function ${JSON.stringify(activation)} is not supported`)
  }
  const vocabSize = config.vocab_size ?? 50_257
  const hiddenSize = config.n_embd ?? 768
  const heads = config.n_head ?? 12
  return {
    family: "gpt2",
    vocabSize,
    hiddenSize,
    intermediateSize: config.n_inner ?? 4 * hiddenSize,
    layers: config.n_layer ?? 12,
    heads,
    kvHeads: heads,
    headDim: Math.floor(hiddenSize / heads),
    norm: { _tag: "layer", eps: config.layer_norm_epsilon ?? 1e-5 },
    qkNorm: false,
    positions: { _tag: "learned" },
    mlp: { _tag: "gelu", by: activations[activation] },
    window: { _tag: "everything" },
    bias: { qkv: true, output: true, mlp: true },
    tieWordEmbeddings: config.tie_word_embeddings ?? true,
    maxPositions: config.n_positions ?? 1024,
    bos: existing(specialTokenOf(config.bos_token_id, endOfText), vocabSize),
    eos: existing(specialTokenOf(config.eos_token_id, endOfText), vocabSize)
  }
}

const isActivation = (name: string): name is keyof typeof activations => Object.hasOwn(activations, name)

const endOfText: SpecialToken = { _tag: "one", id: 50_256 }

/** transformers writes GPT-2's own end of text into every config of the class, of vocabularies too that have no such token. */
const existing = (token: SpecialToken, vocabSize: number): SpecialToken =>
  token._tag === "one" && token.id === endOfText.id && token.id >= vocabSize ? none : token

export const gpt2Json = (config: ModelConfig): Json => {
  const { mlp, norm } = config
  return {
    architectures: [gpt2Class],
    model_type: "gpt2",
    vocab_size: config.vocabSize,
    n_positions: config.maxPositions,
    n_embd: config.hiddenSize,
    n_layer: config.layers,
    n_head: config.heads,
    n_inner: config.intermediateSize,
    activation_function: mlp._tag === "gelu" && mlp.by === "exact" ? "gelu" : "gelu_new",
    layer_norm_epsilon: norm.eps,
    scale_attn_weights: true,
    scale_attn_by_inverse_layer_idx: false,
    reorder_and_upcast_attn: false,
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    tie_word_embeddings: config.tieWordEmbeddings,
    initializer_range: 0.02
  }
}

import type { Shape } from "../tensor/HostTensor.ts"
import { adapterShapes } from "./Lora.ts"
import type { ModelConfig } from "./ModelConfig.ts"

/**
 * What a parameter is for.
 * - embedding, positions, head: [V,d], [positions,d], [V,d]
 * - matrix: a projection inside a layer; residual: one that writes into the residual stream
 * - norm, bias: vectors
 * - adapter: a matrix of low rank beside a projection (Lora.ts)
 */
export type Role = "embedding" | "positions" | "head" | "matrix" | "residual" | "norm" | "bias" | "adapter"

export interface Parameter {
  readonly name: string
  readonly shape: Shape
  readonly role: Role
}

/**
 * What transformers calls the parts of a model. Those of a layer stand behind its own name; `.weight` and `.bias` follow.
 * A part that a family never has has no name.
 */
interface Names {
  readonly embedding: string
  /** Of learned positions. */
  readonly positions: string
  readonly layer: (index: number) => string
  readonly attentionNorm: string
  /** Three projections, or one whose outputs are those of all three, one behind the other. */
  readonly qkv:
    | { readonly _tag: "apart"; readonly q: string; readonly k: string; readonly v: string }
    | { readonly _tag: "fused"; readonly all: string }
  readonly qNorm: string
  readonly kNorm: string
  readonly output: string
  readonly mlpNorm: string
  readonly gate: string
  readonly up: string
  readonly down: string
  readonly finalNorm: string
  readonly head: string
  /** Matrices are [out, in], as torch's Linear keeps them, or [in, out], as GPT-2's Conv1D does. */
  readonly stored: "outIn" | "inOut"
}

const llama: Names = {
  embedding: "model.embed_tokens",
  positions: "",
  layer: (index) => `model.layers.${index}`,
  attentionNorm: "input_layernorm",
  qkv: { _tag: "apart", q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj" },
  qNorm: "self_attn.q_norm",
  kNorm: "self_attn.k_norm",
  output: "self_attn.o_proj",
  mlpNorm: "post_attention_layernorm",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
  finalNorm: "model.norm",
  head: "lm_head",
  stored: "outIn"
}

const gpt2: Names = {
  embedding: "transformer.wte",
  positions: "transformer.wpe",
  layer: (index) => `transformer.h.${index}`,
  attentionNorm: "ln_1",
  qkv: { _tag: "fused", all: "attn.c_attn" },
  qNorm: "",
  kNorm: "",
  output: "attn.c_proj",
  mlpNorm: "ln_2",
  gate: "",
  up: "mlp.c_fc",
  down: "mlp.c_proj",
  finalNorm: "transformer.ln_f",
  head: "lm_head",
  stored: "inOut"
}

export const namesOf = ({ family }: Pick<ModelConfig, "family">): Names => (family === "gpt2" ? gpt2 : llama)

/**
 * All parameters in the order of the forward pass, adapters behind what they adapt, one after the other: a config that lies
 * about its layers is found out at the first that is missing.
 */
export function* parametersOf(config: ModelConfig): Generator<Parameter> {
  for (const parameter of baseParameters(config)) {
    yield parameter
    if (config.lora === undefined || !isProjection(parameter)) continue
    const [out, into] = namesOf(config).stored === "outIn" ? parameter.shape : parameter.shape.toReversed()
    for (const [name, shape] of adapterShapes(config.lora, parameter.name, out, into)) {
      yield { name, shape, role: "adapter" }
    }
  }
}

/** The projections inside layers: what adapters can be put beside. */
export const projectionNames = (config: ModelConfig): ReadonlyArray<string> =>
  Array.from(baseParameters(config)).flatMap((parameter) => (isProjection(parameter) ? [parameter.name] : []))

const isProjection = ({ role }: Parameter): boolean => role === "matrix" || role === "residual"

function* baseParameters(config: ModelConfig): Generator<Parameter> {
  const { vocabSize, hiddenSize: d, intermediateSize: inner, layers, heads, kvHeads, headDim, bias } = config
  const names = namesOf(config)
  const [ofQueries, ofKeys] = [heads * headDim, kvHeads * headDim]

  yield { name: `${names.embedding}.weight`, shape: [vocabSize, d], role: "embedding" }
  if (config.positions._tag === "learned") {
    yield { name: `${names.positions}.weight`, shape: [config.maxPositions, d], role: "positions" }
  }
  for (let layer = 0; layer < layers; layer++) {
    const at = (part: string) => `${names.layer(layer)}.${part}`
    const linear = (part: string, into: number, out: number, biased: boolean, role: "matrix" | "residual" = "matrix") =>
      linearOf(at(part), names.stored === "outIn" ? [out, into] : [into, out], out, biased, role)

    yield* normOf(config, at(names.attentionNorm), d)
    if (names.qkv._tag === "apart") {
      yield* linear(names.qkv.q, d, ofQueries, bias.qkv)
      yield* linear(names.qkv.k, d, ofKeys, bias.qkv)
      yield* linear(names.qkv.v, d, ofKeys, bias.qkv)
    } else {
      yield* linear(names.qkv.all, d, ofQueries + 2 * ofKeys, bias.qkv)
    }
    if (config.qkNorm) {
      yield* normOf(config, at(names.qNorm), headDim)
      yield* normOf(config, at(names.kNorm), headDim)
    }
    yield* linear(names.output, ofQueries, d, bias.output, "residual")
    yield* normOf(config, at(names.mlpNorm), d)
    if (config.mlp._tag === "swiglu") yield* linear(names.gate, d, inner, bias.mlp)
    yield* linear(names.up, d, inner, bias.mlp)
    yield* linear(names.down, inner, d, bias.mlp, "residual")
  }
  yield* normOf(config, names.finalNorm, d)
  if (!config.tieWordEmbeddings) yield { name: `${names.head}.weight`, shape: [vocabSize, d], role: "head" }
}

function* linearOf(
  name: string,
  shape: Shape,
  out: number,
  biased: boolean,
  role: "matrix" | "residual"
): Generator<Parameter> {
  yield { name: `${name}.weight`, shape, role }
  if (biased) yield { name: `${name}.bias`, shape: [out], role: "bias" }
}

function* normOf({ norm }: ModelConfig, name: string, width: number): Generator<Parameter> {
  yield { name: `${name}.weight`, shape: [width], role: "norm" }
  if (norm._tag === "layer") yield { name: `${name}.bias`, shape: [width], role: "bias" }
}

/**
 * What a tensor of a file is called here, or `dropped` where it says nothing new: rotary frequencies that old checkpoints
 * store, GPT-2's causal masks. GPT-2's own checkpoint was saved without its head, and names nothing `transformer.`.
 */
export const canonicalName = (
  { family }: Pick<ModelConfig, "family">,
  name: string
): { readonly _tag: "kept"; readonly name: string } | { readonly _tag: "dropped" } => {
  if (family !== "gpt2") return name.endsWith(".rotary_emb.inv_freq") ? { _tag: "dropped" } : { _tag: "kept", name }
  if (/(^|\.)h\.\d+\.attn\.(masked_)?bias$/.test(name)) return { _tag: "dropped" }
  return { _tag: "kept", name: /^(wte|wpe|h|ln_f)\./.test(name) ? `transformer.${name}` : name }
}

/**
 * What llama.cpp calls the parts of a model, and what it stores otherwise than transformers does. Sources: gguf-py's
 * constants.py and tensor_mapping.py, convert_hf_to_gguf.py.
 */

/** How the values of a tensor have to be moved on the way to transformers' layout, and back. */
export type Move =
  | { readonly _tag: "none" }
  /** Rows of a head: llama.cpp turns the pairs (2i, 2i + 1), transformers the pairs (i, i + headDim / 2). */
  | { readonly _tag: "rotaryRows"; readonly heads: "heads" | "kvHeads" }
  /** GPT-2's Conv1D keeps [in, out], a GGUF file [out, in]. */
  | { readonly _tag: "transpose" }

export interface Part {
  /** In a GGUF file; of a layer, behind `blk.N.`. */
  readonly gguf: string
  /** In transformers; of a layer, behind the architecture's prefix. */
  readonly name: string
  readonly move: Move
}

export interface Architecture {
  /** Before the number of a layer. */
  readonly layer: string
  readonly whole: ReadonlyArray<Part>
  readonly layered: ReadonlyArray<Part>
}

const none: Move = { _tag: "none" }
const transpose: Move = { _tag: "transpose" }
const part = (gguf: string, name: string, move: Move = none): Part => ({ gguf, name, move })
const withBias = (gguf: string, name: string, move: Move = none): ReadonlyArray<Part> => [
  part(`${gguf}.weight`, `${name}.weight`, move),
  // A bias is a vector: nothing to transpose.
  part(`${gguf}.bias`, `${name}.bias`, move._tag === "transpose" ? none : move)
]

const whole = [
  part("token_embd.weight", "model.embed_tokens.weight"),
  part("output_norm.weight", "model.norm.weight"),
  part("output.weight", "lm_head.weight")
]

const layered = (q: Move, k: Move): ReadonlyArray<Part> => [
  part("attn_norm.weight", "input_layernorm.weight"),
  ...withBias("attn_q", "self_attn.q_proj", q),
  ...withBias("attn_k", "self_attn.k_proj", k),
  ...withBias("attn_v", "self_attn.v_proj"),
  ...withBias("attn_output", "self_attn.o_proj"),
  part("attn_q_norm.weight", "self_attn.q_norm.weight"),
  part("attn_k_norm.weight", "self_attn.k_norm.weight"),
  part("ffn_norm.weight", "post_attention_layernorm.weight"),
  ...withBias("ffn_gate", "mlp.gate_proj"),
  ...withBias("ffn_up", "mlp.up_proj"),
  ...withBias("ffn_down", "mlp.down_proj")
]

/** By `general.architecture`. */
export const architectures: Readonly<Record<string, Architecture>> = {
  llama: {
    layer: "model.layers.",
    whole,
    layered: layered({ _tag: "rotaryRows", heads: "heads" }, { _tag: "rotaryRows", heads: "kvHeads" })
  },
  qwen2: { layer: "model.layers.", whole, layered: layered(none, none) },
  qwen3: { layer: "model.layers.", whole, layered: layered(none, none) },
  gpt2: {
    layer: "transformer.h.",
    whole: [
      part("token_embd.weight", "transformer.wte.weight"),
      part("position_embd.weight", "transformer.wpe.weight"),
      ...withBias("output_norm", "transformer.ln_f"),
      part("output.weight", "lm_head.weight")
    ],
    layered: [
      ...withBias("attn_norm", "ln_1"),
      ...withBias("attn_qkv", "attn.c_attn", transpose),
      ...withBias("attn_output", "attn.c_proj", transpose),
      ...withBias("ffn_norm", "ln_2"),
      ...withBias("ffn_up", "mlp.c_fc", transpose),
      ...withBias("ffn_down", "mlp.c_proj", transpose)
    ]
  }
}

/** The part that a tensor of a GGUF file is, with its whole name in transformers. */
export const partOfGguf = (architecture: Architecture, gguf: string): Part | undefined => {
  const inLayer = /^blk\.(\d+)\.(.+)$/.exec(gguf)
  if (inLayer === null) return architecture.whole.find((part) => part.gguf === gguf)
  const [, layer, rest] = inLayer
  const found = architecture.layered.find((part) => part.gguf === rest)
  return found && { gguf, name: `${architecture.layer}${layer}.${found.name}`, move: found.move }
}

/** The part that a tensor of transformers is, with its whole name in a GGUF file. */
export const partOfName = (architecture: Architecture, name: string): Part | undefined => {
  if (!name.startsWith(architecture.layer)) return architecture.whole.find((part) => part.name === name)
  const [layer, ...rest] = name.slice(architecture.layer.length).split(".")
  const found = architecture.layered.find((part) => part.name === rest.join("."))
  return found && { gguf: `blk.${layer}.${found.gguf}`, name, move: found.move }
}

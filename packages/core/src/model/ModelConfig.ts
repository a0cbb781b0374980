import { Result, Schema } from "effect"
import { families, familyProblem } from "./families.ts"
import { Lora } from "./Lora.ts"
import { Rope, ropeProblem } from "./Rope.ts"

/**
 * What stands before attention, MLP and the output.
 * - rms: x / sqrt(mean(x²) + eps) * weight
 * - layer: (x - mean) / sqrt(variance + eps) * weight + bias
 */
export const Norm = Schema.Union([
  Schema.TaggedStruct("rms", { eps: Schema.Finite }),
  Schema.TaggedStruct("layer", { eps: Schema.Finite })
])
export type Norm = typeof Norm.Type

/** Queries and keys are turned, or the embedding of a position is added to that of the token. */
export const Positions = Schema.Union([
  Schema.TaggedStruct("rotary", { rope: Rope }),
  Schema.TaggedStruct("learned", {})
])
export type Positions = typeof Positions.Type

/**
 * The MLP of a layer.
 * - swiglu: down(silu(gate(x)) * up(x))
 * - gelu: down(gelu(up(x))), gelu(x) = x Φ(x) as it is (`exact`), or by a hyperbolic tangent (`tanh`)
 */
export const Mlp = Schema.Union([
  Schema.TaggedStruct("swiglu", {}),
  Schema.TaggedStruct("gelu", { by: Schema.Literals(["exact", "tanh"]) })
])
export type Mlp = typeof Mlp.Type

/** How far back a token sees: everything, or in some layers (counted from 0) the last `size` tokens, itself among them. */
export const Window = Schema.Union([
  Schema.TaggedStruct("everything", {}),
  Schema.TaggedStruct("sliding", { size: Schema.Int, layers: Schema.Array(Schema.Int) })
])
export type Window = typeof Window.Type

/** A special token as config.json may have it: none, one id, or several that all serve. */
export const SpecialToken = Schema.Union([
  Schema.TaggedStruct("none", {}),
  Schema.TaggedStruct("one", { id: Schema.Int }),
  Schema.TaggedStruct("several", { ids: Schema.Array(Schema.Int) })
])
export type SpecialToken = typeof SpecialToken.Type

/** The shape of a decoder-only Transformer. Made by `makeModelConfig`, which checks that the parts fit. */
export const ModelConfig = Schema.Struct({
  /** By transformers' model_type: what the parameters are called, and which of the states below there are. */
  family: Schema.Literals(families),
  vocabSize: Schema.Int,
  /** d: width of the residual stream. */
  hiddenSize: Schema.Int,
  /** Width inside the MLP. */
  intermediateSize: Schema.Int,
  layers: Schema.Int,
  heads: Schema.Int,
  /** Grouped-query attention: heads / kvHeads query heads share a key/value head. */
  kvHeads: Schema.Int,
  /** heads * headDim need not be the hidden size. */
  headDim: Schema.Int,
  norm: Norm,
  /** Each head of queries and keys is normalised before it is turned (RMSNorm over headDim). */
  qkNorm: Schema.Boolean,
  positions: Positions,
  mlp: Mlp,
  window: Window,
  /** Which projections have one: to queries, keys and values; out of attention; those of the MLP. */
  bias: Schema.Struct({ qkv: Schema.Boolean, output: Schema.Boolean, mlp: Schema.Boolean }),
  /** The output projection is the embedding matrix. */
  tieWordEmbeddings: Schema.Boolean,
  /** Longest sequence the model was made for, in tokens. */
  maxPositions: Schema.Int,
  bos: SpecialToken,
  eos: SpecialToken,
  /** Adapters beside projections, where it has any: their weights are then weights of the model like all others. */
  lora: Schema.optionalKey(Lora)
})
export type ModelConfig = typeof ModelConfig.Type

/** A model description that is wrong or asks for what Foretoken does not do. `path: reason` is one line. */
export class ModelConfigError extends Schema.TaggedError<ModelConfigError>()("ModelConfigError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

/** What the Llama family is but for its sizes: a start for the config of a new model. */
export const llamaFeatures = {
  family: "llama",
  norm: { _tag: "rms", eps: 1e-5 },
  qkNorm: false,
  positions: { _tag: "rotary", rope: { _tag: "default", theta: 10_000 } },
  mlp: { _tag: "swiglu" },
  window: { _tag: "everything" },
  bias: { qkv: false, output: false, mlp: false }
} as const satisfies Partial<ModelConfig>

/** The ids of a special token; empty for none. */
export const tokenIds = (token: SpecialToken): ReadonlyArray<number> =>
  token._tag === "none" ? [] : token._tag === "one" ? [token.id] : token.ids

/** How many tokens back a layer sees, itself among them. */
export const reachOf = ({ window }: Pick<ModelConfig, "window">, layer: number): number =>
  window._tag === "sliding" && window.layers.includes(layer) ? window.size : Infinity

/** Checks that the parts fit together; `path` is what the error names, for example the config.json. */
export const makeModelConfig = (
  config: ModelConfig,
  path: string = "model config"
): Result.Result<ModelConfig, ModelConfigError> => {
  const problem = problemOf(config)
  return problem === undefined ? Result.succeed(config) : Result.fail(new ModelConfigError({ path, reason: problem }))
}

const problemOf = (config: ModelConfig): string | undefined => {
  const sizes = [
    "vocabSize",
    "hiddenSize",
    "intermediateSize",
    "layers",
    "heads",
    "kvHeads",
    "headDim",
    "maxPositions"
  ] as const
  const bad = sizes.find((size) => !Number.isSafeInteger(config[size]) || config[size] < 1)
  if (bad !== undefined) return `${bad} must be a positive whole number, not ${config[bad]}`
  const { vocabSize, heads, kvHeads, headDim, norm, positions, window } = config
  if (heads % kvHeads !== 0) return `${heads} attention heads cannot share ${kvHeads} key/value heads evenly`
  if (!(norm.eps > 0 && norm.eps < Infinity)) {
    return `the epsilon of ${norm._tag === "rms" ? "RMSNorm" : "LayerNorm"} must be positive, not ${norm.eps}`
  }
  if (window._tag === "sliding" && !(Number.isSafeInteger(window.size) && window.size > 0)) {
    return `the sliding window must be a positive whole number of tokens, not ${window.size}`
  }
  for (const [name, token] of [
    ["bos", config.bos],
    ["eos", config.eos]
  ] as const) {
    const outside = tokenIds(token).find((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocabSize)
    if (outside !== undefined) return `the ${name} token id ${outside} lies outside the vocabulary of ${vocabSize}`
  }
  const misfit = familyProblem(config)
  if (misfit !== undefined || positions._tag === "learned") return misfit
  return headDim % 2 === 0
    ? ropeProblem(positions.rope)
    : `the head dimension ${headDim} is odd; rotary positions turn pairs`
}

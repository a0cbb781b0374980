import { Result, Schema } from "effect"

/**
 * How positions turn queries and keys. `theta` is the base of the wavelengths.
 * - default: frequency i of head dimension d is theta^(-2i/d)
 * - linear: the same, divided by `factor` (position interpolation, arXiv 2306.15595)
 * - llama3: long wavelengths divided by `factor`, short ones kept, a ramp between (Llama 3.1)
 */
export const Rope = Schema.Union([
  Schema.TaggedStruct("default", { theta: Schema.Finite }),
  Schema.TaggedStruct("linear", { theta: Schema.Finite, factor: Schema.Finite }),
  Schema.TaggedStruct("llama3", {
    theta: Schema.Finite,
    factor: Schema.Finite,
    lowFreqFactor: Schema.Finite,
    highFreqFactor: Schema.Finite,
    originalMaxPositions: Schema.Int
  })
])
export type Rope = typeof Rope.Type

/** A special token as config.json may have it: none, one id, or several that all serve. */
export const SpecialToken = Schema.Union([
  Schema.TaggedStruct("none", {}),
  Schema.TaggedStruct("one", { id: Schema.Int }),
  Schema.TaggedStruct("several", { ids: Schema.Array(Schema.Int) })
])
export type SpecialToken = typeof SpecialToken.Type

/** The shape of a decoder-only Transformer. Made by `makeModelConfig`, which checks that the parts fit. */
export const ModelConfig = Schema.Struct({
  architecture: Schema.Literal("llama"),
  vocabSize: Schema.Int,
  /** d: width of the residual stream. */
  hiddenSize: Schema.Int,
  /** Width inside the SwiGLU block. */
  intermediateSize: Schema.Int,
  layers: Schema.Int,
  heads: Schema.Int,
  /** Grouped-query attention: heads / kvHeads query heads share a key/value head. */
  kvHeads: Schema.Int,
  headDim: Schema.Int,
  rmsNormEps: Schema.Finite,
  /** The output projection is the embedding matrix. */
  tieWordEmbeddings: Schema.Boolean,
  /** Longest sequence the model was made for, in tokens. */
  maxPositions: Schema.Int,
  rope: Rope,
  bos: SpecialToken,
  eos: SpecialToken
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

/** The ids of a special token; empty for none. */
export const tokenIds = (token: SpecialToken): ReadonlyArray<number> =>
  token._tag === "none" ? [] : token._tag === "one" ? [token.id] : token.ids

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
  const { vocabSize, hiddenSize, heads, kvHeads, headDim, rmsNormEps } = config
  if (heads % kvHeads !== 0) return `${heads} attention heads cannot share ${kvHeads} key/value heads evenly`
  if (hiddenSize % heads !== 0) return `the hidden size ${hiddenSize} is no multiple of the ${heads} attention heads`
  if (headDim % 2 !== 0) return `the head dimension ${headDim} is odd; rotary positions turn pairs`
  if (!(rmsNormEps > 0 && rmsNormEps < Infinity)) return `the epsilon of RMSNorm must be positive, not ${rmsNormEps}`
  for (const [name, token] of [
    ["bos", config.bos],
    ["eos", config.eos]
  ] as const) {
    const outside = tokenIds(token).find((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocabSize)
    if (outside !== undefined) return `the ${name} token id ${outside} lies outside the vocabulary of ${vocabSize}`
  }
  return ropeProblem(config.rope)
}

const ropeProblem = (rope: Rope): string | undefined => {
  if (!(rope.theta > 0 && rope.theta < Infinity)) return `rope theta must be positive, not ${rope.theta}`
  if (rope._tag !== "default" && !(rope.factor >= 1 && rope.factor < Infinity)) {
    return `the rope scaling factor must be at least 1, not ${rope.factor}`
  }
  if (rope._tag !== "llama3") return undefined
  if (!(rope.lowFreqFactor > 0 && rope.highFreqFactor > rope.lowFreqFactor && rope.highFreqFactor < Infinity)) {
    return `llama3 rope needs 0 < low_freq_factor < high_freq_factor, not ${rope.lowFreqFactor} and ${rope.highFreqFactor}`
  }
  if (!(Number.isSafeInteger(rope.originalMaxPositions) && rope.originalMaxPositions > 0)) {
    return `llama3 rope needs a positive original_max_position_embeddings, not ${rope.originalMaxPositions}`
  }
  return undefined
}

/**
 * Angle per position of each rotated pair, in radians: [headDim / 2]. Pair i of a head is its elements i and
 * i + headDim / 2 (the Hugging Face layout). Float64; backends round the cosines and sines, not the frequencies.
 */
export const rotaryFrequencies = ({ headDim, rope }: Pick<ModelConfig, "headDim" | "rope">): Float64Array =>
  Float64Array.from({ length: headDim / 2 }, (_, i) => scaled(rope, rope.theta ** ((-2 * i) / headDim)))

const scaled = (rope: Rope, frequency: number): number => {
  if (rope._tag === "default") return frequency
  if (rope._tag === "linear") return frequency / rope.factor
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = rope
  // How often this pair turns within the original context: rarely -> interpolated, often -> kept.
  const turns = (originalMaxPositions * frequency) / (2 * Math.PI)
  const kept = Math.min(1, Math.max(0, (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)))
  return (1 - kept) * (frequency / factor) + kept * frequency
}

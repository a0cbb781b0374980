import { Schema } from "effect"

/**
 * How rotary positions turn queries and keys. `theta` is the base of the wavelengths.
 * - default: frequency i of head dimension d is theta^(-2i/d)
 * - linear: the same, divided by `factor` (position interpolation, arXiv 2306.15595)
 * - llama3: long wavelengths divided by `factor`, short ones kept, a ramp between (Llama 3.1)
 * - yarn: the same with a ramp over the index of the frequency, between those that turn `betaFast` and `betaSlow` times
 *   within the original context (whole indices with `truncate`); cosines and sines times `attentionFactor` (arXiv 2309.00071)
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
  }),
  Schema.TaggedStruct("yarn", {
    theta: Schema.Finite,
    factor: Schema.Finite,
    attentionFactor: Schema.Finite,
    betaFast: Schema.Finite,
    betaSlow: Schema.Finite,
    originalMaxPositions: Schema.Int,
    truncate: Schema.Boolean
  })
])
export type Rope = typeof Rope.Type

/** What is wrong with it, in a line. */
export const ropeProblem = (rope: Rope): string | undefined => {
  if (!(rope.theta > 0 && rope.theta < Infinity)) return `rope theta must be positive, not ${rope.theta}`
  if (rope._tag === "default") return undefined
  if (!(rope.factor >= 1 && rope.factor < Infinity)) {
    return `the rope scaling factor must be at least 1, not ${rope.factor}`
  }
  if (rope._tag === "linear") return undefined
  if (!(Number.isSafeInteger(rope.originalMaxPositions) && rope.originalMaxPositions > 0)) {
    return `${rope._tag} rope needs a positive original_max_position_embeddings, not ${rope.originalMaxPositions}`
  }
  if (rope._tag === "llama3") {
    const { lowFreqFactor: low, highFreqFactor: high } = rope
    if (low > 0 && high > low && high < Infinity) return undefined
    return `llama3 rope needs 0 < low_freq_factor < high_freq_factor, not ${low} and ${high}`
  }
  const { attentionFactor, betaFast, betaSlow, theta } = rope
  if (!(attentionFactor > 0 && attentionFactor < Infinity)) {
    return `yarn rope needs a positive attention_factor, not ${attentionFactor}`
  }
  if (!(betaSlow > 0 && betaFast >= betaSlow && betaFast < Infinity)) {
    return `yarn rope needs 0 < beta_slow <= beta_fast, not ${betaSlow} and ${betaFast}`
  }
  return theta > 1 ? undefined : `yarn rope needs a theta above 1, not ${theta}`
}

/**
 * Angle per position of each rotated pair, in radians: [headDim / 2]. Pair i of a head is its elements i and
 * i + headDim / 2 (the Hugging Face layout). Float64; backends round the cosines and sines, not the frequencies.
 */
export const rotaryFrequencies = (rope: Rope, headDim: number): Float64Array => {
  const scaled = scaling(rope, headDim)
  return Float64Array.from({ length: headDim / 2 }, (_, i) => scaled(rope.theta ** ((-2 * i) / headDim), i))
}

/** What cosines and sines are multiplied with: 1 but for yarn. */
export const rotaryScale = (rope: Rope): number => (rope._tag === "yarn" ? rope.attentionFactor : 1)

type Scaled = (frequency: number, index: number) => number

const scaling = (rope: Rope, headDim: number): Scaled => {
  if (rope._tag === "default") return (frequency) => frequency
  if (rope._tag === "linear") return (frequency) => frequency / rope.factor
  const kept = rope._tag === "llama3" ? keptByTurns(rope) : keptByIndex(rope, headDim)
  return (frequency, index) => {
    const share = kept(frequency, index)
    return (1 - share) * (frequency / rope.factor) + share * frequency
  }
}

/** How often a pair turns within the original context: rarely -> interpolated (0), often -> kept (1). */
const keptByTurns =
  ({ lowFreqFactor, highFreqFactor, originalMaxPositions }: Extract<Rope, { _tag: "llama3" }>): Scaled =>
  (frequency) => {
    const turns = (originalMaxPositions * frequency) / (2 * Math.PI)
    return Math.min(1, Math.max(0, (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)))
  }

const keptByIndex = (rope: Extract<Rope, { _tag: "yarn" }>, headDim: number): Scaled => {
  const { theta, betaFast, betaSlow, originalMaxPositions, truncate } = rope
  /** The index, as a fraction, of the pair that turns so often within the original context. */
  const indexOf = (turns: number) =>
    (headDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [fast, slow] = [indexOf(betaFast), indexOf(betaSlow)]
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0)
  const high = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1)
  const width = high === low ? 0.001 : high - low
  return (_, index) => 1 - Math.min(1, Math.max(0, (index - low) / width))
}

/** The factor that the paper of yarn gives for cosines and sines (its equation 22). */
export const yarnAttentionFactor = (factor: number): number => (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1)

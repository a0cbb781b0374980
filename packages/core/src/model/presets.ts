import { Result } from "effect"
import { ModelConfigError, llamaFeatures, makeModelConfig } from "./ModelConfig.ts"
import type { ModelConfig, SpecialToken } from "./ModelConfig.ts"

/** What a preset leaves open: it depends on the tokenizer. */
export interface Vocabulary {
  readonly vocabSize: number
  readonly bos: SpecialToken
  readonly eos: SpecialToken
}

type Sizes = Pick<ModelConfig, "layers" | "hiddenSize" | "heads" | "kvHeads" | "intermediateSize" | "maxPositions">

/** Models small enough to train from scratch on a CPU. */
export const presets = {
  /** For tests: a step takes milliseconds. */
  nano: { layers: 2, hiddenSize: 32, heads: 4, kvHeads: 2, intermediateSize: 64, maxPositions: 256 },
  /** The quick start: 0.8 M parameters at a vocabulary of a few hundred words. */
  micro: { layers: 4, hiddenSize: 128, heads: 4, kvHeads: 4, intermediateSize: 352, maxPositions: 1024 },
  /** 3.4 M parameters without the embedding; the benchmark shape. */
  small: { layers: 4, hiddenSize: 256, heads: 8, kvHeads: 8, intermediateSize: 768, maxPositions: 2048 }
} as const satisfies Readonly<Record<string, Sizes>>

export type PresetName = keyof typeof presets

export const isPresetName = (name: string): name is PresetName => Object.hasOwn(presets, name)

/** The config of a model to train from scratch: default rotary positions, embeddings tied to the output. */
export const presetConfig = (name: string, vocabulary: Vocabulary): Result.Result<ModelConfig, ModelConfigError> => {
  if (!isPresetName(name)) {
    const known = Object.keys(presets).join(", ")
    return Result.fail(new ModelConfigError({ path: name, reason: `is no preset; there are ${known}` }))
  }
  const sizes = presets[name]
  return makeModelConfig(
    {
      ...llamaFeatures,
      ...sizes,
      headDim: sizes.hiddenSize / sizes.heads,
      ...vocabulary,
      tieWordEmbeddings: true
    },
    `preset ${name}`
  )
}

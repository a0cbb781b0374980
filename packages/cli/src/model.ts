import { checkVocabulary, initialWeights, loadPolicy, loadTokenizer, presetConfig, Synthetic } from "@foretoken/core"
import type { LoadedModel, ModelConfigError, ModelError, SpecialToken, Tokenizer, WeightsError } from "@foretoken/core"
import * as Effect from "effect/Effect"

export type ModelFailure = ModelError | ModelConfigError | WeightsError | Tokenizer.TokenizerError

export interface ModelChoice {
  /** A Hugging Face directory, a GGUF file, a checkpoint of llama2.c, or preset:NAME for new weights. */
  readonly model: string
  /** Where the tokenizer lies, if not with the model; a preset alone has that of the generated corpus. */
  readonly tokenizer: string | undefined
}

const presetPrefix = "preset:"

/** A model with a tokenizer that fits its embedding. The weights of a preset are drawn from the seed. */
export const openModel = (
  { model, tokenizer: directory }: ModelChoice,
  seed: number
): Effect.Effect<LoadedModel, ModelFailure> =>
  Effect.gen(function* () {
    if (model.startsWith(presetPrefix)) return yield* newModel(model.slice(presetPrefix.length), directory, seed)
    if (directory === undefined) return yield* loadPolicy({ model })
    const { stored } = yield* loadPolicy({ model })
    const tokenizer = yield* loadTokenizer(directory)
    yield* Effect.fromResult(checkVocabulary(stored.config, tokenizer.vocabSize, directory))
    return { stored: { ...stored, tokenizerFiles: filesOf(tokenizer) }, tokenizer }
  })

const newModel = Effect.fnUntraced(function* (preset: string, directory: string | undefined, seed: number) {
  const tokenizer = directory === undefined ? Synthetic.tokenizer : yield* loadTokenizer(directory)
  const { vocabSize, bos, eos } = tokenizer
  const config = yield* Effect.fromResult(
    presetConfig(preset, { vocabSize, bos: specialToken(bos), eos: specialToken(eos) })
  )
  return {
    stored: { config, weights: initialWeights(config, seed), tokenizerFiles: filesOf(tokenizer) },
    tokenizer
  }
})

const specialToken = (id: number | undefined): SpecialToken =>
  id === undefined ? { _tag: "none" } : { _tag: "one", id }

const filesOf = ({ files }: Tokenizer.Tokenizer) =>
  Object.fromEntries([...files].map(([name, text]) => [name, new TextEncoder().encode(text)]))

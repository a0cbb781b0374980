import { Effect } from "effect"
import * as Tokenizer from "../data/Tokenizer.ts"
import type { Tokenizer as TokenizerType } from "../data/Tokenizer.ts"
import type { ModelError, StoredModel } from "../model/ModelDirectory.ts"
import { loadModel } from "../model/ModelDirectory.ts"
import type { WeightsError } from "../model/weights.ts"
import { checkVocabulary } from "../model/weights.ts"

/** Where the first policy comes from: a Hugging Face directory, or a model in memory with its tokenizer. */
export type PolicySource = { readonly model: string } | LoadedModel

export interface LoadedModel {
  readonly stored: StoredModel
  readonly tokenizer: TokenizerType
}

/** Loads a model with its tokenizer and checks that they fit. */
export const loadPolicy = (
  source: PolicySource
): Effect.Effect<LoadedModel, ModelError | WeightsError | Tokenizer.TokenizerError> =>
  "stored" in source
    ? Effect.succeed(source)
    : Effect.gen(function* () {
        const stored = yield* loadModel(source.model)
        const tokenizer = yield* Tokenizer.load(source.model)
        yield* Effect.fromResult(checkVocabulary(stored.config, tokenizer.vocabSize, source.model))
        return { stored, tokenizer }
      })

import { Effect } from "effect"
import type { Tokenizer, TokenizerError } from "../data/Tokenizer.ts"
import type { ModelError, StoredModel } from "../model/ModelDirectory.ts"
import { loadModel } from "../model/ModelDirectory.ts"
import { loadTokenizer } from "../model/loadTokenizer.ts"
import type { WeightsError } from "../model/weights.ts"
import { checkVocabulary } from "../model/weights.ts"

/**
 * Where the first policy comes from: a Hugging Face directory, a GGUF file or a checkpoint of llama2.c, or a model in memory
 * with its tokenizer.
 */
export type PolicySource = { readonly model: string } | LoadedModel

export interface LoadedModel {
  readonly stored: StoredModel
  readonly tokenizer: Tokenizer
}

/** Loads a model with its tokenizer and checks that they fit. */
export const loadPolicy = (
  source: PolicySource
): Effect.Effect<LoadedModel, ModelError | WeightsError | TokenizerError> =>
  "stored" in source
    ? Effect.succeed(source)
    : Effect.gen(function* () {
        const stored = yield* loadModel(source.model)
        const tokenizer = yield* loadTokenizer(source.model, stored.tokenizerFiles)
        yield* Effect.fromResult(checkVocabulary(stored.config, tokenizer.vocabSize, source.model))
        return { stored, tokenizer }
      })

import { resolve } from "node:path"
import { Effect } from "effect"
import { padTokenizer } from "../data/padTokenizer.ts"
import type { Tokenizer, TokenizerError } from "../data/Tokenizer.ts"
import { withLora } from "../model/adapters.ts"
import type { LoraOptions } from "../model/Lora.ts"
import type { ModelError, StoredModel } from "../model/ModelDirectory.ts"
import { loadModel } from "../model/ModelDirectory.ts"
import { loadTokenizer } from "../model/loadTokenizer.ts"
import type { WeightsError } from "../model/weights.ts"
import { checkVocabulary } from "../model/weights.ts"

/**
 * Where the first policy comes from: a Hugging Face directory, a GGUF file or a checkpoint of llama2.c, with new adapters on it
 * where `lora` asks for them; or a model in memory with its tokenizer.
 */
export type PolicySource = { readonly model: string; readonly lora?: LoraOptions } | LoadedModel

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
        const { model, lora } = source
        const stored = yield* loadModel(model)
        const read = yield* loadTokenizer(model, stored.tokenizerFiles)
        yield* Effect.fromResult(checkVocabulary(stored.config, read.vocabSize, model))
        const tokenizer = padTokenizer(read, stored.config.vocabSize)
        if (lora === undefined) return { stored, tokenizer }
        return { stored: yield* Effect.fromResult(withLora(stored, resolve(model), lora)), tokenizer }
      })

import { resolve } from "node:path"
import { Effect, Result } from "effect"
import { nameOfSnapshot } from "../hub/cache.ts"
import { padTokenizer } from "../data/padTokenizer.ts"
import type { Tokenizer, TokenizerError } from "../data/Tokenizer.ts"
import { withLora } from "../model/adapters.ts"
import type { LoraOptions } from "../model/Lora.ts"
import type { KeptModel, ModelError } from "../model/ModelDirectory.ts"
import { loadKeptModel, loadModel } from "../model/ModelDirectory.ts"
import { loadTokenizer } from "../model/loadTokenizer.ts"
import { trainableWeights } from "../model/trainable.ts"
import type { WeightsError } from "../model/weights.ts"
import { checkVocabulary, widened } from "../model/weights.ts"

/**
 * Where the first policy comes from: a Hugging Face directory, a GGUF file or a checkpoint of llama2.c, with new adapters on it
 * where `lora` asks for them; or a model in memory with its tokenizer. With `storage: "file"` weights that training leaves alone
 * stay in two bytes where the file has them so.
 */
export type PolicySource =
  | { readonly model: string; readonly lora?: LoraOptions; readonly storage?: "f32" | "file" }
  | LoadedModel

export interface LoadedModel {
  readonly stored: KeptModel
  readonly tokenizer: Tokenizer
}

/** Loads a model with its tokenizer and checks that they fit. */
export const loadPolicy = (
  source: PolicySource
): Effect.Effect<LoadedModel, ModelError | WeightsError | TokenizerError> =>
  "stored" in source
    ? Effect.succeed(source)
    : Effect.gen(function* () {
        const { model, lora, storage = "f32" } = source
        const stored: KeptModel = yield* storage === "file" ? loadKeptModel(model) : loadModel(model)
        const read = yield* loadTokenizer(model, stored.tokenizerFiles)
        yield* Effect.fromResult(checkVocabulary(stored.config, read.vocabSize, model))
        const tokenizer = padTokenizer(read, stored.config.vocabSize)
        if (lora === undefined) return { stored, tokenizer }
        return {
          stored: yield* Effect.fromResult(withLora(stored, nameOfSnapshot(model) ?? resolve(model), lora)),
          tokenizer
        }
      })

/** The same to be trained: what is not left alone, by the patterns of `frozen`, is in f32. */
export const loadTrained = (source: PolicySource, frozen: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const loaded = yield* loadPolicy(source)
    return { ...loaded, stored: yield* Effect.fromResult(trained(loaded.stored, frozen)) }
  })

/** A model whose weights can be trained but for those that `frozen` leaves alone. */
export const trained = (model: KeptModel, frozen: ReadonlyArray<string>): Result.Result<KeptModel, WeightsError> =>
  Result.map(trainableWeights(model.config, frozen), (names) => ({ ...model, weights: widened(model.weights, names) }))

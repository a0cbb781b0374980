import { resolve } from "node:path"
import {
  checkVocabulary,
  initialWeights,
  isHalf,
  loadKeptModel,
  loadModel,
  loadPolicy,
  loadTokenizer,
  nameOfSnapshot,
  padTokenizer,
  presetConfig,
  sizeOf,
  Synthetic,
  withLora
} from "@foretoken/core"
import type {
  KeptModel,
  KeptWeights,
  LoadedModel,
  LoraOptions,
  ModelConfig,
  ModelConfigError,
  ModelError,
  SpecialToken,
  Tokenizer,
  WeightsError
} from "@foretoken/core"
import * as Effect from "effect/Effect"
import { UsageError } from "./failure.ts"
import { Streams } from "./Streams.ts"

export type ModelFailure = ModelError | ModelConfigError | WeightsError | Tokenizer.TokenizerError

export interface ModelChoice {
  /** A Hugging Face directory, a GGUF file, a checkpoint of llama2.c, or preset:NAME for new weights. */
  readonly model: string
  /** Where the tokenizer lies, if not with the model; a preset alone has that of the generated corpus. */
  readonly tokenizer: string | undefined
  /** Default: f32. */
  readonly storage?: Storage
}

/** How weights are kept: as their file has them, or in f32. */
export type Storage = "f32" | "file"

/** A model that is to be read, with its tokenizer. */
export interface ReadModel {
  readonly config: ModelConfig
  readonly weights: KeptWeights
  readonly tokenizer: Tokenizer.Tokenizer
}

export interface ReadModelChoice {
  readonly model: string
  readonly storage: Storage
}

/** A model to be read, its weights kept as they were asked for. */
export const openReadModel = ({ model, storage }: ReadModelChoice): Effect.Effect<ReadModel, ModelFailure> =>
  Effect.gen(function* () {
    const { config, weights, tokenizerFiles } = yield* loadKept({ model, storage })
    const tokenizer = yield* loadTokenizer(model, tokenizerFiles)
    yield* Effect.fromResult(checkVocabulary(config, tokenizer.vocabSize, model))
    return { config, weights, tokenizer: padTokenizer(tokenizer, config.vocabSize) }
  })

export const loadKept = ({ model, storage }: ReadModelChoice): Effect.Effect<KeptModel, ModelError> =>
  storage === "f32"
    ? loadModel(model)
    : Effect.tap(loadKeptModel(model), ({ weights }) => sayWhatIsWide(model, weights))

/** Who asks for two bytes and gets four is told. */
const sayWhatIsWide = (model: string, weights: KeptWeights) =>
  Effect.map(Streams, ({ error }) => {
    const sizes = Object.values(weights).map(({ dtype, shape }) => [isHalf(dtype), sizeOf(shape)] as const)
    const all = sizes.reduce((sum, [, size]) => sum + size, 0)
    const kept = sizes.reduce((sum, [half, size]) => sum + (half ? size : 0), 0)
    if (kept > all / 2) return
    const share = kept === 0 ? "no weights" : `${Math.round((100 * kept) / all)} % of its weights`
    error(
      `foretoken: ${model} has ${share} in F16 or BF16, which --storage file keeps in two bytes; all others take four\n`
    )
  })

/** What `foretoken train` has to say of it. */
export interface TrainedModelChoice extends ModelChoice {
  readonly loraRank: number | undefined
  readonly loraAlpha: number | undefined
  readonly loraTargets: ReadonlyArray<string>
  readonly freeze: ReadonlyArray<string>
  readonly storage: Storage
}

/** The same with new adapters on it, where they are asked for. */
export const openTrainedModel = (
  choice: TrainedModelChoice,
  seed: number
): Effect.Effect<LoadedModel, ModelFailure | UsageError> =>
  Effect.gen(function* () {
    const { model, loraRank, loraAlpha, loraTargets, storage, freeze } = choice
    const opened = yield* openModel(choice, seed)
    const isAdapted = loraRank !== undefined || opened.stored.config.lora !== undefined
    if (storage === "file" && !isAdapted && freeze.length === 0) {
      const message = "--storage file is of weights that training leaves alone; --lora-rank or --freeze say which"
      return yield* new UsageError({ message })
    }
    if (loraRank === undefined) {
      if (loraAlpha === undefined && loraTargets.length === 0) return opened
      return yield* new UsageError({
        message: "--lora-alpha and --lora-targets are of adapters; --lora-rank asks for them"
      })
    }
    const asked: LoraOptions = {
      rank: loraRank,
      seed,
      ...(loraAlpha === undefined ? {} : { alpha: loraAlpha }),
      ...(loraTargets.length === 0 ? {} : { targets: loraTargets })
    }
    const base = model.startsWith(presetPrefix) ? model : (nameOfSnapshot(model) ?? resolve(model))
    return { ...opened, stored: yield* Effect.fromResult(withLora(opened.stored, base, asked)) }
  })

const presetPrefix = "preset:"

/** A model with a tokenizer that fits its embedding. The weights of a preset are drawn from the seed. */
export const openModel = (
  { model, tokenizer: directory, storage = "f32" }: ModelChoice,
  seed: number
): Effect.Effect<LoadedModel, ModelFailure> =>
  Effect.gen(function* () {
    if (model.startsWith(presetPrefix)) return yield* newModel(model.slice(presetPrefix.length), directory, seed)
    if (directory === undefined) return yield* loadPolicy({ model, storage })
    const { stored } = yield* loadPolicy({ model, storage })
    const tokenizer = yield* loadTokenizer(directory)
    const { vocabSize } = stored.config
    yield* Effect.fromResult(checkVocabulary(stored.config, tokenizer.vocabSize, directory))
    return { stored: { ...stored, tokenizerFiles: filesOf(tokenizer) }, tokenizer: padTokenizer(tokenizer, vocabSize) }
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

/** The tokenizer's files as a model carries them. */
export const filesOf = ({ files }: Tokenizer.Tokenizer) =>
  Object.fromEntries([...files].map(([name, text]) => [name, new TextEncoder().encode(text)]))

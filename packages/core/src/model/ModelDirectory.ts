import { join } from "node:path"
import { Effect } from "effect"
import { writeDirectoryAtomically, writeFileAtomically, writeTextAtomically } from "../storage/atomic.ts"
import { parseJson } from "../storage/boundedJson.ts"
import { Disk, readWhole } from "../storage/Disk.ts"
import { StorageError } from "../storage/StorageError.ts"
import { attachAdapters, baseOf, isAdapterDirectory, readAdapterConfig, writeAdapterFiles } from "./adapterFiles.ts"
import { ModelConfigError } from "./ModelConfig.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { fromHuggingFace, generationTokens, toHuggingFace, withGenerationConfig } from "./ModelConfigJson.ts"
import {
  readKeptSafetensors,
  readKeptShardedSafetensors,
  readSafetensors,
  readShardedSafetensors
} from "./safetensors.ts"
import { loadKeptModelFile, loadModelFile, modelSource } from "./modelFile.ts"
import type { ModelFileError } from "./ModelFileError.ts"
import { SafetensorsError } from "./SafetensorsError.ts"
import type { StoredDType } from "./safetensorsHeader.ts"
import { canonicalName } from "./parameters.ts"
import { usualShard, writeShards } from "./shards.ts"
import { checkKeptWeights, checkWeights, halvesOf } from "./weights.ts"
import type { KeptWeights, Weights, WeightsError } from "./weights.ts"

/** A model as it lies in a directory: what transformers' `from_pretrained` loads. */
export interface StoredModel {
  readonly config: ModelConfig
  readonly weights: Weights
  /** The tokenizer's files by name, byte for byte; empty where there are none. */
  readonly tokenizerFiles: TokenizerFiles
}

export type TokenizerFiles = Readonly<Record<string, Uint8Array>>

export type ModelError = ModelConfigError | SafetensorsError | ModelFileError | WeightsError | StorageError

const tokenizerFileNames = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja"
]

/**
 * Reads a model: config, weights in f32, checked against it, and tokenizer files. `path` is a directory (weights in one file or
 * in shards), a GGUF file, or a checkpoint of llama2.c. A directory of adapters is the model that they name with them on it.
 */
export const loadModel = (path: string): Effect.Effect<StoredModel, ModelError> =>
  Effect.gen(function* () {
    if (yield* isAdapterDirectory(path)) return yield* loadAdapted(path, yield* loadModel(yield* baseOf(path)))
    const source = yield* modelSource(path)
    return yield* source._tag === "directory" ? loadDirectory(path) : loadModelFile(source)
  })

/** The adapters of a directory on the model `base`, in place of the adapters that it has. */
const loadAdapted = <Model extends KeptModel>(directory: string, base: Model): Effect.Effect<Model, ModelError> =>
  Effect.gen(function* () {
    const lora = yield* readAdapterConfig(directory)
    const own = yield* loadTokenizerFiles(directory)
    const model = yield* attachAdapters(directory, lora, base)
    return Object.keys(own).length === 0 ? model : { ...model, tokenizerFiles: own }
  })

/**
 * A model that began as `base`: adapters are put on it, which lies where it lies now, and weights that it has in two bytes, which
 * training leaves alone, are the very same ones.
 */
export const loadModelOf = (path: string, base: KeptModel): Effect.Effect<KeptModel, ModelError> =>
  Effect.gen(function* () {
    if (yield* isAdapterDirectory(path)) {
      const model = yield* loadAdapted(path, base)
      const [own, now] = [model.config.lora, base.config.lora]
      if (own === undefined || now === undefined) return model
      return { ...model, config: { ...model.config, lora: { ...own, base: now.base } } }
    }
    const model = yield* loadModel(path)
    return { ...model, weights: { ...model.weights, ...halvesOf(base.weights) } }
  })

const loadDirectory = (directory: string): Effect.Effect<StoredModel, ModelError> =>
  Effect.gen(function* () {
    const config = yield* loadModelConfig(directory)
    const { path, isSharded } = yield* weightsIn(directory)
    const tensors = yield* (isSharded ? readShardedSafetensors : readSafetensors)(path, partOf(config))
    const weights = yield* Effect.fromResult(checkWeights(config, tensors, path))
    return { config, weights, tokenizerFiles: yield* loadTokenizerFiles(directory) }
  })

/** A model with weights in two bytes where the file has them so: those are read, and never trained. */
export interface KeptModel extends Omit<StoredModel, "weights"> {
  readonly weights: KeptWeights
}

/**
 * `loadModel` for little memory: F16 and BF16 stay what they are, and are widened, exactly, where something is computed with
 * them. What else there is, quantised types of GGUF and checkpoints of llama2.c, comes in f32.
 */
export const loadKeptModel = (path: string): Effect.Effect<KeptModel, ModelError> =>
  Effect.gen(function* () {
    if (yield* isAdapterDirectory(path)) return yield* loadAdapted(path, yield* loadKeptModel(yield* baseOf(path)))
    const source = yield* modelSource(path)
    if (source._tag !== "directory") return yield* loadKeptModelFile(source)
    const config = yield* loadModelConfig(path)
    const { path: file, isSharded } = yield* weightsIn(path)
    const tensors = yield* (isSharded ? readKeptShardedSafetensors : readKeptSafetensors)(file, partOf(config))
    const weights = yield* Effect.fromResult(checkKeptWeights(config, tensors, file))
    return { config, weights, tokenizerFiles: yield* loadTokenizerFiles(path) }
  })

/** Buffers that checkpoints of old have beside their weights, masks of booleans among them, are not read. */
const partOf = (config: ModelConfig) => (name: string) => canonicalName(config, name)._tag === "kept"

const weightsIn = (directory: string) =>
  Effect.flatMap(namesIn(directory), (names) => {
    const isSharded = !names.includes("model.safetensors") && names.includes("model.safetensors.index.json")
    const path = join(directory, isSharded ? "model.safetensors.index.json" : "model.safetensors")
    const pickled = names.find((name) => /^pytorch_model.*\.bin$/.test(name))
    if (isSharded || names.includes("model.safetensors") || pickled === undefined) {
      return Effect.succeed({ isSharded, path })
    }
    const reason = `is not there, and ${pickled} is not read; loaded and saved by transformers, the model has it`
    return Effect.fail(new SafetensorsError({ path, reason }))
  })

/** Reads config.json, and of generation_config.json what ends a text: enough to refuse a model before its weights are touched. */
export const loadModelConfig = (directory: string): Effect.Effect<ModelConfig, ModelConfigError | StorageError> =>
  Effect.gen(function* () {
    const path = join(directory, "config.json")
    const config = yield* Effect.fromResult(fromHuggingFace(yield* readJson(path), path))
    const generation = join(directory, "generation_config.json")
    if (!(yield* namesIn(directory)).includes("generation_config.json")) return config
    return yield* Effect.fromResult(withGenerationConfig(config, yield* readJson(generation), generation))
  })

const readJson = (path: string): Effect.Effect<unknown, ModelConfigError | StorageError> =>
  Effect.gen(function* () {
    const text = new TextDecoder().decode(yield* readWhole(path, largestConfig))
    return yield* Effect.mapError(
      Effect.fromResult(parseJson(text)),
      (reason) => new ModelConfigError({ path, reason })
    )
  })

/** The tokenizer's files of a model directory that are there. */
export const loadTokenizerFiles = (directory: string): Effect.Effect<TokenizerFiles, StorageError> =>
  Effect.gen(function* () {
    const entries: Array<[string, Uint8Array]> = []
    const names = yield* namesIn(directory)
    for (const name of tokenizerFileNames.filter((name) => names.includes(name))) {
      entries.push([name, yield* readWhole(join(directory, name), largestTokenizer)])
    }
    return Object.fromEntries(entries)
  })

/**
 * Writes a model that transformers loads. The directory appears whole or not at all; one that exists already (and is not
 * empty) is not overwritten.
 */
export const saveModel = (
  directory: string,
  model: KeptModel,
  options: SaveOptions = {}
): Effect.Effect<void, WeightsError | StorageError> =>
  writeDirectoryAtomically(directory, (temporary) => writeModelFiles(temporary, model, options))

export interface SaveOptions {
  /** What the weights are rounded to; F32 keeps every bit. */
  readonly dtype?: StoredDType
  /** The text of README.md, the model card; without it there is none. */
  readonly card?: string
  /** Bytes of tensors in one file at most: larger weights are written in shards, with an index. Default: transformers' 50 GB. */
  readonly shardBytes?: number
}

/** transformers' names for them. */
const torchNames: Readonly<Record<StoredDType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" }

/** The files of a model, into a directory that the caller will publish: of one with adapters the adapters alone. */
export const writeModelFiles = (
  directory: string,
  { config, weights, tokenizerFiles }: KeptModel,
  { dtype = "F32", card, shardBytes = usualShard }: SaveOptions = {}
): Effect.Effect<void, WeightsError | StorageError> =>
  Effect.gen(function* () {
    const checked = yield* Effect.fromResult(checkKeptWeights(config, weights, "weights"))
    yield* writeTokenizerFiles(directory, tokenizerFiles)
    if (card !== undefined) yield* writeTextAtomically(join(directory, "README.md"), card)
    if (config.lora !== undefined) return yield* writeAdapterFiles(directory, { config, weights: checked }, config.lora)
    const torchName = torchNames[dtype]
    yield* writeJson(join(directory, "config.json"), {
      ...toHuggingFace(config),
      dtype: torchName,
      torch_dtype: torchName
    })
    yield* writeJson(join(directory, "generation_config.json"), {
      _from_model_config: true,
      ...generationTokens(config)
    })
    yield* writeShards(directory, checked, dtype, shardBytes)
  })

const writeTokenizerFiles = (directory: string, files: TokenizerFiles): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    for (const [name, bytes] of Object.entries(files)) {
      if (!tokenizerFileNames.includes(name)) {
        return yield* new StorageError({ path: join(directory, name), reason: "is no file of a tokenizer" })
      }
      yield* writeFileAtomically(join(directory, name), (file) => file.write(bytes))
    }
  })

const writeJson = (path: string, json: unknown): Effect.Effect<void, StorageError> =>
  writeTextAtomically(path, `${JSON.stringify(json, undefined, 2)}\n`)

/** A config has some kilobytes; the largest tokenizers have some 30 MB. */
const largestConfig = 2 ** 24
const largestTokenizer = 2 ** 28

/** None where the directory is not there: whoever reads a file of it says so. */
const namesIn = (directory: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.flatMap(Disk, (disk) => Effect.orElseSucceed(disk.list(directory), () => []))

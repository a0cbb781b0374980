/**
 * Where a model lies:
 * - directory: config.json, safetensors, tokenizer.json, as transformers has them
 * - gguf: one file with all of it
 * - llama2c: one file with config and weights, and a tokenizer.bin beside it
 */
import { Effect } from "effect"
import { openFile } from "../storage/Disk.ts"
import { StorageError } from "../storage/StorageError.ts"
import { loadGguf, loadGgufTokenizer, loadKeptGguf } from "./gguf/load.ts"
import { loadLlama2c, loadLlama2cTokenizer } from "./llama2c/load.ts"
import type { ModelConfigError } from "./ModelConfig.ts"
import type { KeptModel, StoredModel, TokenizerFiles } from "./ModelDirectory.ts"
import type { ModelFileError } from "./ModelFileError.ts"
import type { WeightsError } from "./weights.ts"

export type ModelSource =
  | { readonly _tag: "directory"; readonly path: string }
  | { readonly _tag: "gguf"; readonly path: string }
  | { readonly _tag: "llama2c"; readonly path: string }

type ModelFile = Exclude<ModelSource, { readonly _tag: "directory" }>

/** What `path` is: a GGUF file says so in its first bytes, any other file is taken for a checkpoint of llama2.c. */
export const modelSource = (path: string): Effect.Effect<ModelSource> =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* openFile(path, "read")
      const head = new Uint8Array(Math.min(4, yield* file.size))
      yield* file.read(head, 0)
      return { _tag: new TextDecoder().decode(head) === "GGUF" ? "gguf" : "llama2c", path } as const
    })
    // A directory cannot be read like a file, and what is not there is for whoever reads the directory to say.
  ).pipe(Effect.orElseSucceed((): ModelSource => ({ _tag: "directory", path })))

export const loadModelFile = ({
  _tag,
  path
}: ModelFile): Effect.Effect<StoredModel, ModelFileError | ModelConfigError | WeightsError | StorageError> =>
  _tag === "gguf" ? loadGguf(path) : loadLlama2c(path)

/** The same, with F16 and BF16 of a GGUF file in two bytes. */
export const loadKeptModelFile = ({
  _tag,
  path
}: ModelFile): Effect.Effect<KeptModel, ModelFileError | ModelConfigError | WeightsError | StorageError> =>
  _tag === "gguf" ? loadKeptGguf(path) : loadLlama2c(path)

/** The tokenizer's files of a model in one file; a model without any is refused. */
export const loadFileTokenizer = ({
  _tag,
  path
}: ModelFile): Effect.Effect<TokenizerFiles, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const files = yield* _tag === "gguf" ? loadGgufTokenizer(path) : loadLlama2cTokenizer(path)
    if (Object.keys(files).length > 0) return files
    const reason = _tag === "gguf" ? "carries no tokenizer" : "has no tokenizer.bin beside it"
    return yield* new StorageError({ path, reason })
  })

import { basename } from "node:path"
import { Effect } from "effect"
import * as Tokenizer from "../data/Tokenizer.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { baseOf, isAdapterDirectory } from "./adapterFiles.ts"
import type { ModelConfigError } from "./ModelConfig.ts"
import { loadTokenizerFiles } from "./ModelDirectory.ts"
import type { TokenizerFiles } from "./ModelDirectory.ts"
import { loadFileTokenizer, modelSource } from "./modelFile.ts"
import type { ModelFileError } from "./ModelFileError.ts"

/**
 * The tokenizer of a model, wherever the model lies; of adapters that have none, that of their base. `files` are those that
 * were read with it, if it was read.
 */
export const loadTokenizer = (
  path: string,
  files: TokenizerFiles = {}
): Effect.Effect<Tokenizer.Tokenizer, Tokenizer.TokenizerError | ModelConfigError | ModelFileError | StorageError> =>
  Effect.gen(function* () {
    if (yield* isAdapterDirectory(path)) {
      const own = yield* loadTokenizerFiles(path)
      if (!Object.hasOwn(own, "tokenizer.json")) return yield* loadTokenizer(yield* baseOf(path), files)
    }
    const source = yield* modelSource(path)
    if (source._tag === "directory") return yield* Tokenizer.load(path)
    const found = Object.keys(files).length > 0 ? files : yield* loadFileTokenizer(source)
    const text = (name: string) => (Object.hasOwn(found, name) ? new TextDecoder().decode(found[name]) : "{}")
    return yield* Tokenizer.fromJson({
      name: basename(path),
      directory: path,
      tokenizer: text("tokenizer.json"),
      config: text("tokenizer_config.json")
    })
  })

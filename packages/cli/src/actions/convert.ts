import { readdir, readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import {
  checkVocabulary,
  loadModel,
  loadTokenizer,
  merged,
  mergedCard,
  parameterCount,
  saveGguf,
  saveModel,
  StorageError
} from "@foretoken/core"
import type { StoredModel } from "@foretoken/core"
import * as Effect from "effect/Effect"
import { InputError, UsageError } from "../failure.ts"
import { filesOf } from "../model.ts"

interface Input {
  readonly model: string
  readonly out: string
  readonly dtype: "f32" | "f16" | "bf16" | "q8_0"
  readonly maxShardSize: number | undefined
  readonly tokenizer: string | undefined
}

interface Output {
  readonly out: string
  readonly format: "directory" | "gguf"
  readonly dtype: Input["dtype"]
  readonly family: string
  readonly parameters: number
  /** Of the file, or of all that ends in .safetensors. */
  readonly bytes: number
}

export const run = (input: Input): Effect.Effect<Output, Error> =>
  Effect.gen(function* () {
    const { model: path, out, dtype } = input
    const format = out.endsWith(".gguf") ? "gguf" : "directory"
    if (format === "directory" && dtype === "q8_0") {
      const message = `--dtype q8_0 is written to GGUF files only, and ${out} is not named *.gguf`
      return yield* new UsageError({ message })
    }
    if (format === "gguf" && input.maxShardSize !== undefined) {
      return yield* new UsageError({ message: `--max-shard-size is of directories, and ${out} is a GGUF file` })
    }
    if (yield* isThere(out))
      return yield* new InputError({ message: `${out}: is there already; nothing was overwritten` })
    const stored = yield* loadModel(path)
    const model = yield* withTokenizer(stored.config.lora === undefined ? stored : merged(stored), input.tokenizer)
    yield* format === "gguf" ? saveGguf(out, model, ggufTypes[dtype]) : saveDirectory(input, model)
    const size = yield* Effect.tryPromise({
      try: () => (format === "gguf" ? sizeOf(out) : sizeOfWeights(out)),
      catch: (cause) => StorageError.of(out, cause)
    })
    const { config } = model
    return { out, format, dtype, family: config.family, parameters: parameterCount(config), bytes: size }
  })

const sizeOf = async (file: string): Promise<number> => (await stat(file)).size

const sizeOfWeights = async (directory: string): Promise<number> => {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".safetensors"))
  const sizes = await Promise.all(names.map((name) => sizeOf(join(directory, name))))
  return sizes.reduce((sum, size) => sum + size, 0)
}

const ggufTypes = { f32: "F32", f16: "F16", bf16: "BF16", q8_0: "Q8_0" } as const
const storedTypes = { f32: "F32", f16: "F16", bf16: "BF16", q8_0: "F32" } as const

const isThere = (path: string): Effect.Effect<boolean> =>
  Effect.promise(() =>
    stat(path).then(
      () => true,
      () => false
    )
  )

const withTokenizer = Effect.fnUntraced(function* (model: StoredModel, path: string | undefined) {
  if (path === undefined) return model
  const tokenizer = yield* loadTokenizer(path)
  yield* Effect.fromResult(checkVocabulary(model.config, tokenizer.vocabSize, path))
  return { ...model, tokenizerFiles: filesOf(tokenizer) }
})

/** The model card of a checkpoint stays with the model. */
const saveDirectory = Effect.fnUntraced(function* (
  { model: path, out, dtype, maxShardSize }: Input,
  model: StoredModel
) {
  const card = yield* Effect.promise(() => readFile(join(path, "README.md"), "utf8").catch(() => undefined))
  yield* saveModel(out, model, {
    dtype: storedTypes[dtype],
    ...(card === undefined ? {} : { card: mergedCard(card) }),
    ...(maxShardSize === undefined ? {} : { shardBytes: maxShardSize })
  })
})

export const show = ({ out, format, dtype, family, parameters, bytes }: Output): string => {
  const kind = format === "gguf" ? "a GGUF file" : "a Hugging Face directory"
  return `${out}: ${kind} of a ${family} model, ${parameters} parameters in ${dtype}, ${bytes} bytes`
}

/** A model out of a llama2.c checkpoint, with the tokenizer.bin that lies beside it. */
import { dirname, join } from "node:path"
import { Effect } from "effect"
import { Disk, openFile, readWhole } from "../../storage/Disk.ts"
import type { DiskFile } from "../../storage/Disk.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import type { HostF32 } from "../../tensor/HostTensor.ts"
import { pairsToHalves } from "../gguf/moves.ts"
import type { ModelConfig, ModelConfigError } from "../ModelConfig.ts"
import { fromHuggingFace } from "../ModelConfigJson.ts"
import type { StoredModel, TokenizerFiles } from "../ModelDirectory.ts"
import { ModelFileError } from "../ModelFileError.ts"
import { checkWeights } from "../weights.ts"
import type { WeightsError } from "../weights.ts"
import { bytesOf, headerBytes, parseLlama2c } from "./header.ts"
import type { Llama2cHeader, Llama2cShape, Llama2cTensor } from "./header.ts"
import { tokenizerOfLlama2c } from "./tokenizer.ts"

/** Reads all of it, one tensor at a time. Without a tokenizer.bin beside it the model has no tokenizer. */
export const loadLlama2c = (
  path: string
): Effect.Effect<StoredModel, ModelFileError | ModelConfigError | WeightsError | StorageError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* openFile(path, "read")
      const { shape, tensors } = yield* readHeader(file)
      const config = yield* configOf(shape, path)
      const tokenizerFiles = yield* readTokenizer(path, shape.vocabSize)
      const entries: Array<[string, HostF32]> = []
      for (const tensor of tensors) entries.push([tensor.name, yield* readTensor(file, tensor)])
      const weights = yield* Effect.fromResult(checkWeights(config, Object.fromEntries(entries), path))
      return { config, weights, tokenizerFiles }
    })
  )

/** The tokenizer's files alone: the weights are not read. */
export const loadLlama2cTokenizer = (path: string): Effect.Effect<TokenizerFiles, ModelFileError | StorageError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { shape } = yield* readHeader(yield* openFile(path, "read"))
      return yield* readTokenizer(path, shape.vocabSize)
    })
  )

const readHeader = (file: DiskFile): Effect.Effect<Llama2cHeader, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const { path } = file
    const size = yield* file.size
    const bytes = new Uint8Array(Math.min(size, headerBytes))
    if (!(yield* file.read(bytes, 0))) return yield* shrank(path)
    return yield* Effect.mapError(
      Effect.fromResult(parseLlama2c(bytes, size)),
      (reason) => new ModelFileError({ path, reason })
    )
  })

/** run.c has the other numbers of Llama 2 built in. */
const configOf = ({ tied, ...shape }: Llama2cShape, path: string): Effect.Effect<ModelConfig, ModelConfigError> =>
  Effect.fromResult(
    fromHuggingFace(
      {
        model_type: "llama",
        architectures: ["LlamaForCausalLM"],
        vocab_size: shape.vocabSize,
        hidden_size: shape.hiddenSize,
        intermediate_size: shape.intermediateSize,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        num_key_value_heads: shape.kvHeads,
        max_position_embeddings: shape.maxPositions,
        tie_word_embeddings: tied,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000,
        bos_token_id: 1,
        eos_token_id: 2
      },
      path
    )
  )

/** A vocabulary of 32,000 has 0.4 MB. */
const largestTokenizer = 2 ** 26

const readTokenizer = (
  checkpoint: string,
  vocabSize: number
): Effect.Effect<TokenizerFiles, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const directory = dirname(checkpoint)
    const names = yield* Effect.orElseSucceed((yield* Disk).list(directory), (): ReadonlyArray<string> => [])
    if (!names.includes("tokenizer.bin")) return {}
    const path = join(directory, "tokenizer.bin")
    const files = yield* Effect.mapError(
      Effect.fromResult(tokenizerOfLlama2c(yield* readWhole(path, largestTokenizer), vocabSize)),
      (reason) => new ModelFileError({ path, reason })
    )
    return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)]))
  })

const shrank = (path: string) =>
  new ModelFileError({ path, reason: "the file ended while it was read: is it still being written?" })

const readTensor = (
  file: DiskFile,
  { name, shape, elements, begin, encoding, pairedHeads }: Llama2cTensor
): Effect.Effect<HostF32, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const data = yield* Effect.try({
      try: () => new Float32Array(elements),
      catch: () => {
        const reason = `no memory for the ${elements} elements of ${name}`
        return new ModelFileError({ path: file.path, reason })
      }
    })
    if (encoding._tag === "f32") {
      if (!(yield* file.read(new Uint8Array(data.buffer), begin))) return yield* shrank(file.path)
    } else {
      const packed = new Uint8Array(bytesOf(elements, encoding))
      if (!(yield* file.read(packed, begin))) return yield* shrank(file.path)
      const scales = new Float32Array(packed.slice(elements).buffer)
      for (let i = 0; i < elements; i++) {
        data[i] = ((packed[i] << 24) >> 24) * scales[Math.floor(i / encoding.groupSize)]
      }
    }
    if (pairedHeads > 0) pairsToHalves(data, pairedHeads, shape[0] / pairedHeads)
    return { dtype: "f32", shape, data }
  })

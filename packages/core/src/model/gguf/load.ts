/** A model out of a GGUF file: config, weights in f32 under transformers' names and in its layout, tokenizer. */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { StorageError } from "../../storage/StorageError.ts"
import type { HostF32, HostHalf } from "../../tensor/HostTensor.ts"
import type { ModelConfig, ModelConfigError } from "../ModelConfig.ts"
import { fromHuggingFace } from "../ModelConfigJson.ts"
import type { KeptModel, StoredModel, TokenizerFiles } from "../ModelDirectory.ts"
import { ModelFileError } from "../ModelFileError.ts"
import { quote, refusals, refuse } from "../refusal.ts"
import { checkKeptWeights, inF32 } from "../weights.ts"
import type { WeightsError } from "../weights.ts"
import { partOfGguf } from "./architecture.ts"
import type { Architecture, Move } from "./architecture.ts"
import { architectureOf, configJsonOf } from "./config.ts"
import { openGguf } from "./GgufFile.ts"
import type { GgufFile } from "./GgufFile.ts"
import type { GgufTensor } from "./header.ts"
import { pairsToHalves, transposed, transposedInto } from "./moves.ts"
import { tokenizerFilesOf } from "./tokenizer.ts"

type LoadError = ModelFileError | ModelConfigError | WeightsError | StorageError

/** Reads all of it, one tensor at a time. */
export const loadGguf = (path: string): Effect.Effect<StoredModel, LoadError> =>
  Effect.map(loadKeptGguf(path, "read"), (model) => ({ ...model, weights: inF32(model.weights) }))

/** The same with F16 and BF16 in two bytes, and all other types, the quantised ones too, in f32; or as `how` says. */
export const loadKeptGguf = (
  path: string,
  how: "read" | "readKept" = "readKept"
): Effect.Effect<KeptModel, LoadError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* openGguf(path)
      const config = yield* configOf(file)
      const tokenizerFiles = yield* orRefuse(path, () => encoded(tokenizerFilesOf(file.metadata)))
      const [name, architecture] = yield* orRefuse(path, () => architectureOf(file.metadata))
      const placed = yield* orRefuse(path, () => file.tensors.flatMap((tensor) => place(name, architecture, tensor)))
      const entries: Array<[string, HostF32 | HostHalf]> = []
      for (const { tensor, name, move } of placed) {
        entries.push([name, moved(yield* file[how](tensor), move, config)])
      }
      const weights = yield* Effect.fromResult(checkKeptWeights(config, Object.fromEntries(entries), path))
      return { config, weights, tokenizerFiles }
    })
  )

/** The tokenizer's files alone: the weights are not read. */
export const loadGgufTokenizer = (path: string): Effect.Effect<TokenizerFiles, ModelFileError | StorageError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { metadata } = yield* openGguf(path)
      return yield* orRefuse(path, () => encoded(tokenizerFilesOf(metadata)))
    })
  )

const encoded = (texts: Readonly<Record<string, string>>): TokenizerFiles =>
  Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, new TextEncoder().encode(text)]))

const orRefuse = <A>(path: string, parse: () => A): Effect.Effect<A, ModelFileError> =>
  Effect.suspend(() =>
    Effect.mapError(Effect.fromResult(refusals(parse)), (reason) => new ModelFileError({ path, reason }))
  )

const ropeFreqs = "rope_freqs.weight"

const configOf = (
  file: GgufFile
): Effect.Effect<ModelConfig, ModelFileError | ModelConfigError | StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const { path, metadata, tensors } = file
    const named = (name: string) => tensors.find((tensor) => tensor.name === name)
    const embedding = named("token_embd.weight")
    if (embedding === undefined) return yield* new ModelFileError({ path, reason: "has no tensor token_embd.weight" })
    const freqs = named(ropeFreqs)
    const hints = {
      vocabSize: embedding.shape[0] ?? 0,
      hasOutput: named("output.weight") !== undefined,
      hasAttentionBias: named("blk.0.attn_q.bias") !== undefined,
      hasMlpBias: named("blk.0.ffn_up.bias") !== undefined,
      ropeFactors: freqs === undefined ? undefined : (yield* file.read(freqs)).data
    }
    const json = yield* orRefuse(path, () => configJsonOf(metadata, hints))
    return yield* Effect.fromResult(fromHuggingFace(json, path))
  })

interface Placed {
  readonly tensor: GgufTensor
  readonly name: string
  readonly move: Move
}

const place = (name: string, architecture: Architecture, tensor: GgufTensor): ReadonlyArray<Placed> => {
  if (tensor.name === ropeFreqs) return []
  const part = partOfGguf(architecture, tensor.name)
  return part === undefined
    ? refuse(`tensor ${quote(tensor.name)} has no place in a ${name} model`)
    : [{ tensor, name: part.name, move: part.move }]
}

/** In transformers' layout. A shape that does not fit stays as it is, for `checkWeights` to refuse. */
const moved = (tensor: HostF32 | HostHalf, move: Move, config: ModelConfig): HostF32 | HostHalf => {
  const { data, shape } = tensor
  if (move._tag === "rotaryRows") {
    const heads = config[move.heads]
    if (shape[0] === heads * config.headDim) pairsToHalves(data, heads, config.headDim)
    return tensor
  }
  if (move._tag === "none" || shape.length !== 2) return tensor
  const [rows, columns] = shape
  return tensor.dtype === "f32"
    ? { dtype: "f32", shape: [columns, rows], data: transposed(tensor.data, rows, columns) }
    : {
        dtype: tensor.dtype,
        shape: [columns, rows],
        data: transposedInto(new Uint16Array(data.length), data, rows, columns)
      }
}

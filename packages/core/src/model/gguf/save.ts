/** A model into a GGUF file, for llama.cpp and all that reads its files. */
import { Effect } from "effect"
import { writeFileAtomically } from "../../storage/atomic.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import type { ModelConfig } from "../ModelConfig.ts"
import type { StoredModel } from "../ModelDirectory.ts"
import { ModelFileError } from "../ModelFileError.ts"
import { quote, refusals, refuse } from "../refusal.ts"
import { architectures, partOfName } from "./architecture.ts"
import type { Part } from "./architecture.ts"
import { aligned, encodeGguf } from "./encode.ts"
import { architectureName, metadataOf, ropeFreqsOf } from "./metadata.ts"
import { halvesToPairs, transposed } from "./moves.ts"
import { packers } from "./quantize.ts"
import type { GgufType } from "./quantize.ts"
import { vocabularyMetadata } from "./vocabularyMetadata.ts"

/**
 * Matrices become `type`, whose rows are whole blocks (F16 where they are not); vectors and GPT-2's positions stay F32, as
 * llama.cpp has them. Each tensor is packed when it is written: the memory for one of them is all that is needed.
 */
export const saveGguf = (
  path: string,
  { config, weights, tokenizerFiles }: StoredModel,
  type: GgufType
): Effect.Effect<void, ModelFileError | StorageError> =>
  Effect.gen(function* () {
    const { header, tensors } = yield* Effect.mapError(
      Effect.fromResult(
        refusals(() => {
          const tensors = tensorsOf({ config, weights }, type)
          const metadata = [...metadataOf(config, type), ...vocabularyMetadata(tokenizerFiles, config.vocabSize)]
          return { header: encodeGguf(metadata, tensors), tensors }
        })
      ),
      (reason) => new ModelFileError({ path, reason })
    )
    yield* writeFileAtomically(path, (file) =>
      Effect.gen(function* () {
        yield* file.write(header)
        for (const { bytes, pack } of tensors) {
          yield* file.write(pack())
          yield* file.write(new Uint8Array(aligned(bytes) - bytes))
        }
      })
    )
  })

interface Written {
  readonly name: string
  readonly shape: ReadonlyArray<number>
  readonly type: number
  readonly bytes: number
  readonly pack: () => Uint8Array
}

const tensorsOf = ({ config, weights }: Pick<StoredModel, "config" | "weights">, type: GgufType): Array<Written> => {
  const architecture = architectures[architectureName(config)]
  const tensors = Object.entries(weights).map(([name, { shape, data }]) => {
    const part = partOfName(architecture, name) ?? refuse(`tensor ${quote(name)} has no place in a GGUF file`)
    const isTurned = part.move._tag === "transpose"
    return written(part, isTurned ? shape.toReversed() : shape, type, () => moved(data, shape, part, config))
  })
  const freqs = ropeFreqsOf(config)
  const extra =
    freqs === undefined
      ? []
      : [written({ gguf: "rope_freqs.weight", name: "", move: { _tag: "none" } }, [freqs.length], "F32", () => freqs)]
  return [...extra, ...tensors]
}

const written = (part: Part, shape: ReadonlyArray<number>, wanted: GgufType, values: () => Float32Array): Written => {
  const row = shape.at(-1) ?? 1
  const fitting = row % packers[wanted].elements === 0 ? wanted : "F16"
  const type = shape.length < 2 || part.gguf === "position_embd.weight" ? "F32" : fitting
  const { id, elements, bytes, pack } = packers[type]
  const size = shape.reduce((product, extent) => product * extent, 1)
  return { name: part.gguf, shape, type: id, bytes: (size / elements) * bytes, pack: () => pack(values()) }
}

/** In llama.cpp's layout. */
const moved = (data: Float32Array, shape: ReadonlyArray<number>, { move }: Part, config: ModelConfig): Float32Array => {
  if (move._tag === "none") return data
  if (move._tag === "transpose") return transposed(data, shape[0], shape[1])
  const copy = data.slice()
  halvesToPairs(copy, config[move.heads], config.headDim)
  return copy
}

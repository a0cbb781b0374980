import { basename, join } from "node:path"
import { Effect } from "effect"
import { writeTextAtomically } from "../storage/atomic.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { TensorRecord } from "./safetensors.ts"
import { writeSafetensors } from "./safetensors.ts"
import type { StoredDType } from "./safetensorsHeader.ts"
import { widths } from "./safetensorsHeader.ts"

/** What transformers 5 puts into one file at most, unless told otherwise: in bytes. */
export const usualShard = 50e9

/**
 * Names in their order, cut where the next one would take a shard past `most` bytes; what is larger itself has a shard of its own.
 * Source: `split_state_dict_into_shards_factory` of huggingface_hub, which cuts so.
 */
export const cutIntoShards = (
  sizes: ReadonlyArray<readonly [name: string, bytes: number]>,
  most: number
): ReadonlyArray<ReadonlyArray<string>> => {
  const shards: Array<Array<string>> = []
  let room = 0
  for (const [name, bytes] of sizes) {
    if (shards.length === 0 || bytes > room) {
      shards.push([])
      room = most
    }
    shards[shards.length - 1].push(name)
    room -= bytes
  }
  return shards
}

/**
 * The weights of a model directory: model.safetensors, or where that would have more than `most` bytes of tensors
 * model-00001-of-0000N.safetensors and the rest, with the index that says which tensor lies where.
 */
export const writeShards = (
  directory: string,
  tensors: TensorRecord,
  dtype: StoredDType,
  most: number
): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const sizes = Object.keys(tensors)
      .toSorted()
      .map((name) => [name, tensors[name].data.length * widths[dtype]] as const)
    const shards = cutIntoShards(sizes, most)
    if (shards.length <= 1) return yield* writeSafetensors(join(directory, "model.safetensors"), tensors, dtype)
    const number = (n: number) => String(n).padStart(5, "0")
    const placed: Record<string, string> = {}
    for (const [i, names] of shards.entries()) {
      const path = join(directory, `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`)
      yield* writeSafetensors(path, Object.fromEntries(names.map((name) => [name, tensors[name]])), dtype)
      for (const name of names) placed[name] = basename(path)
    }
    const index = {
      metadata: { total_size: sizes.reduce((sum, [, bytes]) => sum + bytes, 0) },
      weight_map: placed
    }
    yield* writeTextAtomically(
      join(directory, "model.safetensors.index.json"),
      `${JSON.stringify(index, undefined, 2)}\n`
    )
  })

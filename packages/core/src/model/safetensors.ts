import { open, readFile } from "node:fs/promises"
import type { FileHandle } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { Effect, Predicate, Result } from "effect"
import type { HostF32, HostTensor } from "../tensor/HostTensor.ts"
import { readFully, writeFileAtomically, writeFully } from "../storage/atomic.ts"
import { StorageError, reasonOf } from "../storage/StorageError.ts"
import { SafetensorsError } from "./SafetensorsError.ts"
import { encodeHeader, headerLength, parseHeader } from "./safetensorsHeader.ts"
import type { StoredTensor } from "./safetensorsHeader.ts"
import { upperHalf, widenBF16, widenF16 } from "./widen.ts"

/** Tensors by name. */
export type TensorRecord = Readonly<Record<string, HostTensor>>

type FloatRecord = Readonly<Record<string, HostF32>>

/**
 * All tensors of a safetensors file as f32 (F16 and BF16 are widened exactly), in the order of the file. Each is read
 * into its own memory: the peak is the model itself.
 */
export const readSafetensors = (path: string): Effect.Effect<FloatRecord, SafetensorsError> =>
  withFile(path, async (file) => {
    const tensors = await readHeader(file, path)
    const entries: Array<[string, HostF32]> = []
    for (const tensor of tensors) entries.push([tensor.name, await readTensor(file, path, tensor)])
    return Object.fromEntries(entries)
  })

/**
 * All tensors of a sharded model from its `*.safetensors.index.json`. Index and shards must agree: every listed tensor lies in
 * its shard, every tensor of a shard is listed for it.
 */
export const readShardedSafetensors = (indexPath: string): Effect.Effect<FloatRecord, SafetensorsError> =>
  Effect.gen(function* () {
    const shardOf = yield* readIndex(indexPath)
    const shards = [...new Set(shardOf.values())].toSorted()
    const entries: Array<[string, HostF32]> = []
    for (const shard of shards) {
      const path = join(dirname(indexPath), shard)
      const tensors = yield* withFile(path, async (file) => {
        const stored = await readHeader(file, path)
        const stray = stored.find(({ name }) => shardOf.get(name) !== shard)
        if (stray !== undefined) {
          throw new SafetensorsError({
            path,
            reason: `holds tensor ${JSON.stringify(stray.name)}, which ${basename(indexPath)} does not place there`
          })
        }
        const held = new Set(stored.map(({ name }) => name))
        const missing = [...shardOf].find(([name, file]) => file === shard && !held.has(name))
        if (missing !== undefined) {
          throw new SafetensorsError({
            path,
            reason: `tensor ${JSON.stringify(missing[0])} is not here, though ${basename(indexPath)} says so`
          })
        }
        const read: Array<[string, HostF32]> = []
        for (const tensor of stored) read.push([tensor.name, await readTensor(file, path, tensor)])
        return read
      })
      entries.push(...tensors)
    }
    return Object.fromEntries(entries)
  })

/**
 * Writes f32 tensors, sorted by name, so that equal tensors make equal files. The file appears whole or not at all.
 * Fails on tensors of another element type.
 */
export const writeSafetensors = (path: string, tensors: TensorRecord): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const stored: Array<{ name: string; shape: ReadonlyArray<number>; bytes: number; data: Float32Array }> = []
    for (const name of Object.keys(tensors).toSorted()) {
      const tensor = tensors[name]
      if (tensor.dtype !== "f32") {
        return yield* new StorageError({
          path,
          reason: `tensor ${JSON.stringify(name)} is ${tensor.dtype}, only f32 is written`
        })
      }
      stored.push({ name, shape: tensor.shape, bytes: tensor.data.byteLength, data: tensor.data })
    }
    yield* writeFileAtomically(path, async (file) => {
      await writeFully(file, encodeHeader(stored))
      for (const { data } of stored)
        await writeFully(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    })
  })

const withFile = <A>(path: string, use: (file: FileHandle) => Promise<A>): Effect.Effect<A, SafetensorsError> =>
  Effect.tryPromise({
    try: async () => {
      const file = await open(path, "r")
      try {
        return await use(file)
      } finally {
        await file.close()
      }
    },
    catch: (cause) =>
      cause instanceof SafetensorsError ? cause : new SafetensorsError({ path, reason: reasonOf(cause) })
  })

const orThrow = <A>(path: string, result: Result.Result<A, string>): A => {
  if (Result.isFailure(result)) throw new SafetensorsError({ path, reason: result.failure })
  return result.success
}

const truncated = (path: string): SafetensorsError =>
  new SafetensorsError({ path, reason: "the file ended while it was read: is it still being written?" })

const readHeader = async (file: FileHandle, path: string): Promise<ReadonlyArray<StoredTensor>> => {
  const stat = await file.stat()
  if (!stat.isFile()) throw new SafetensorsError({ path, reason: "is not a file" })
  const prefix = new Uint8Array(8)
  await readFully(file, prefix, 0)
  const header = new Uint8Array(orThrow(path, headerLength(prefix, stat.size)))
  if (!(await readFully(file, header, 8))) throw truncated(path)
  return orThrow(path, parseHeader(header, stat.size))
}

/** Assumes a little-endian host, as all that Node's tensor engines run on are. */
const readTensor = async (file: FileHandle, path: string, stored: StoredTensor): Promise<HostF32> => {
  const data = allocate(path, stored)
  const bytes = stored.dtype === "F32" ? new Uint8Array(data.buffer) : upperHalf(data)
  if (!(await readFully(file, bytes, stored.begin))) throw truncated(path)
  if (stored.dtype === "F16") widenF16(data)
  if (stored.dtype === "BF16") widenBF16(data)
  return { dtype: "f32", shape: stored.shape, data }
}

const allocate = (path: string, { name, elements }: StoredTensor): Float32Array<ArrayBuffer> => {
  try {
    return new Float32Array(elements)
  } catch {
    throw new SafetensorsError({
      path,
      reason: `no memory for the ${elements} elements of tensor ${JSON.stringify(name)}`
    })
  }
}

/** `weight_map` of an index: tensor name to the shard's file name. */
const readIndex = (path: string): Effect.Effect<ReadonlyMap<string, string>, SafetensorsError> =>
  Effect.tryPromise({
    try: async () => {
      const refuse = (reason: string) => new SafetensorsError({ path, reason })
      const text = await readFile(path, "utf8")
      let json: unknown
      try {
        json = JSON.parse(text)
      } catch {
        throw refuse("is not JSON")
      }
      const map = Predicate.isObject(json) ? json["weight_map"] : undefined
      if (!Predicate.isObject(map)) throw refuse('has no object "weight_map"')
      return new Map(
        Object.entries(map).map(([name, shard]): [string, string] => {
          // A shard lies beside its index; a path that leads elsewhere is not followed.
          if (typeof shard !== "string" || !/^[^/\\]+\.safetensors$/.test(shard)) {
            throw refuse(
              `tensor ${JSON.stringify(name)} is placed in ${JSON.stringify(shard)}, which is no file name *.safetensors`
            )
          }
          return [name, shard]
        })
      )
    },
    catch: (cause) =>
      cause instanceof SafetensorsError ? cause : new SafetensorsError({ path, reason: reasonOf(cause) })
  })

import { basename, dirname, join } from "node:path"
import { Effect, Predicate, Result } from "effect"
import { floatsOf } from "../tensor/half.ts"
import type { HostF32, HostHalf, HostTensor } from "../tensor/HostTensor.ts"
import { writeFileAtomically } from "../storage/atomic.ts"
import { parseJson } from "../storage/boundedJson.ts"
import { openFile, readWhole } from "../storage/Disk.ts"
import type { DiskFile } from "../storage/Disk.ts"
import { StorageError } from "../storage/StorageError.ts"
import { SafetensorsError } from "./SafetensorsError.ts"
import { narrowBF16, narrowF16 } from "./narrow.ts"
import { encodeHeader, headerLength, isRead, parseHeader, unreadable, widths } from "./safetensorsHeader.ts"
import type { StoredDType, StoredTensor } from "./safetensorsHeader.ts"
import { upperHalf, widenBF16, widenF16 } from "./widen.ts"

/** Tensors by name. */
export type TensorRecord = Readonly<Record<string, HostTensor>>

type FloatRecord = Readonly<Record<string, HostF32>>
type KeptRecord = Readonly<Record<string, HostF32 | HostHalf>>

type ReadTensor<A extends HostTensor> = (
  file: DiskFile,
  stored: StoredTensor
) => Effect.Effect<readonly [string, A], SafetensorsError | StorageError>

/** Which tensors of a file are read; others are not looked at, and may be of any element type. */
type Wanted = (name: string) => boolean
const all: Wanted = () => true

/**
 * The tensors of a safetensors file as f32 (F16 and BF16 are widened exactly), in the order of the file. Each is read
 * into its own memory: the peak is the model itself.
 */
export const readSafetensors = (path: string, wanted: Wanted = all): Effect.Effect<FloatRecord, SafetensorsError> =>
  readFile(path, wanted, asF32)

/** The same, F16 and BF16 kept as they are: the peak is the file. */
export const readKeptSafetensors = (path: string, wanted: Wanted = all): Effect.Effect<KeptRecord, SafetensorsError> =>
  readFile(path, wanted, asStored)

const readFile = <A extends HostTensor>(path: string, wanted: Wanted, read: ReadTensor<A>) =>
  withFile(path, (file) =>
    Effect.map(
      Effect.flatMap(readHeader(file), (tensors) => readEach(file, tensors, wanted, read)),
      Object.fromEntries<A>
    )
  )

const readEach = <A extends HostTensor>(
  file: DiskFile,
  tensors: ReadonlyArray<StoredTensor>,
  wanted: Wanted,
  read: ReadTensor<A>
) =>
  Effect.forEach(
    tensors.filter(({ name }) => wanted(name)),
    (tensor) => read(file, tensor)
  )

/**
 * The tensors of a sharded model from its `*.safetensors.index.json`. Index and shards must agree: every listed tensor lies in
 * its shard, every tensor of a shard is listed for it.
 */
export const readShardedSafetensors = (
  indexPath: string,
  wanted: Wanted = all
): Effect.Effect<FloatRecord, SafetensorsError> => readShards(indexPath, wanted, asF32)

/** The same, F16 and BF16 kept as they are. */
export const readKeptShardedSafetensors = (
  indexPath: string,
  wanted: Wanted = all
): Effect.Effect<KeptRecord, SafetensorsError> => readShards(indexPath, wanted, asStored)

const readShards = <A extends HostTensor>(
  indexPath: string,
  wanted: Wanted,
  read: ReadTensor<A>
): Effect.Effect<Readonly<Record<string, A>>, SafetensorsError> =>
  Effect.gen(function* () {
    const shardOf = yield* readIndex(indexPath)
    const shards = [...new Set(shardOf.values())].toSorted()
    const entries: Array<readonly [string, A]> = []
    for (const shard of shards) {
      const path = join(dirname(indexPath), shard)
      const tensors = yield* withFile(path, (file) =>
        Effect.gen(function* () {
          const stored = yield* readHeader(file)
          const stray = stored.find(({ name }) => shardOf.get(name) !== shard)
          if (stray !== undefined) {
            return yield* new SafetensorsError({
              path,
              reason: `holds tensor ${JSON.stringify(stray.name)}, which ${basename(indexPath)} does not place there`
            })
          }
          const held = new Set(stored.map(({ name }) => name))
          const missing = [...shardOf].find(([name, file]) => file === shard && !held.has(name))
          if (missing !== undefined) {
            return yield* new SafetensorsError({
              path,
              reason: `tensor ${JSON.stringify(missing[0])} is not here, though ${basename(indexPath)} says so`
            })
          }
          return yield* readEach(file, stored, wanted, read)
        })
      )
      entries.push(...tensors)
    }
    return Object.fromEntries(entries)
  })

/**
 * Writes tensors of floats, sorted by name, so that equal tensors make equal files; as F16 or BF16 rounded to nearest, ties to
 * even. The file appears whole or not at all. Each tensor is widened or rounded when it is written: the memory for one is all that
 * is needed. Fails on tensors of another element type, and on values that F16 has no number for.
 */
export const writeSafetensors = (
  path: string,
  tensors: TensorRecord,
  dtype: StoredDType = "F32"
): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const stored: Array<{ name: string; shape: ReadonlyArray<number>; bytes: number; tensor: HostF32 | HostHalf }> = []
    for (const name of Object.keys(tensors).toSorted()) {
      const tensor = tensors[name]
      if (tensor.dtype === "i32" || tensor.dtype === "bool") {
        const reason = `tensor ${JSON.stringify(name)} is ${tensor.dtype}, only floats are written`
        return yield* new StorageError({ path, reason })
      }
      stored.push({ name, shape: tensor.shape, bytes: tensor.data.length * widths[dtype], tensor })
    }
    yield* writeFileAtomically(path, (file) =>
      Effect.gen(function* () {
        yield* file.write(encodeHeader(dtype, stored))
        for (const { name, tensor } of stored) yield* file.write(yield* packed(path, name, valuesOf(tensor), dtype))
      })
    )
  })

const valuesOf = (tensor: HostF32 | HostHalf): Float32Array =>
  tensor.dtype === "f32" ? tensor.data : floatsOf(tensor.dtype, tensor.data)

const packed = (
  path: string,
  name: string,
  data: Float32Array,
  dtype: StoredDType
): Effect.Effect<Uint8Array, StorageError> => {
  const values = dtype === "F32" ? data : dtype === "F16" ? narrowF16(data) : narrowBF16(data)
  const lost = dtype === "F16" ? data.findIndex((value) => Number.isFinite(value) && Math.abs(value) >= 65_520) : -1
  if (lost >= 0) {
    const reason = `tensor ${JSON.stringify(name)} has the value ${data[lost]}, more than F16 can hold; BF16 can`
    return Effect.fail(new StorageError({ path, reason }))
  }
  return Effect.succeed(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
}

const refused = ({ path, reason }: StorageError) => new SafetensorsError({ path, reason })

const withFile = <A>(
  path: string,
  use: (file: DiskFile) => Effect.Effect<A, SafetensorsError | StorageError>
): Effect.Effect<A, SafetensorsError> =>
  Effect.catchTag(Effect.scoped(Effect.flatMap(openFile(path, "read"), use)), "StorageError", refused)

const orRefuse = <A>(path: string, result: Result.Result<A, string>): Effect.Effect<A, SafetensorsError> =>
  Effect.fromResult(Result.mapError(result, (reason) => new SafetensorsError({ path, reason })))

const truncated = (path: string): SafetensorsError =>
  new SafetensorsError({ path, reason: "the file ended while it was read: is it still being written?" })

const readHeader = Effect.fnUntraced(function* (file: DiskFile) {
  const { path } = file
  const size = yield* file.size
  const prefix = new Uint8Array(8)
  yield* file.read(prefix, 0)
  const header = new Uint8Array(yield* orRefuse(path, headerLength(prefix, size)))
  if (!(yield* file.read(header, 8))) return yield* truncated(path)
  return yield* orRefuse(path, parseHeader(header, size))
})

/** Assumes a little-endian host, as all that Node's tensor engines run on are. */
const asF32: ReadTensor<HostF32> = Effect.fnUntraced(function* (file: DiskFile, stored: StoredTensor) {
  yield* checkType(file, stored)
  const data = yield* allocate(file.path, stored, (elements) => new Float32Array(elements))
  const bytes = stored.dtype === "F32" ? new Uint8Array(data.buffer) : upperHalf(data)
  if (!(yield* file.read(bytes, stored.begin))) return yield* truncated(file.path)
  if (stored.dtype === "F16") widenF16(data)
  if (stored.dtype === "BF16") widenBF16(data)
  return [stored.name, { dtype: "f32", shape: stored.shape, data }] as const
})

const asStored: ReadTensor<HostF32 | HostHalf> = Effect.fnUntraced(function* (file: DiskFile, stored: StoredTensor) {
  if (stored.dtype !== "F16" && stored.dtype !== "BF16") return yield* asF32(file, stored)
  const data = yield* allocate(file.path, stored, (elements) => new Uint16Array(elements))
  if (!(yield* file.read(new Uint8Array(data.buffer), stored.begin))) return yield* truncated(file.path)
  return [stored.name, { dtype: stored.dtype === "F16" ? "f16" : "bf16", shape: stored.shape, data }] as const
})

const checkType = ({ path }: DiskFile, { name, dtype }: StoredTensor): Effect.Effect<void, SafetensorsError> =>
  isRead(dtype) ? Effect.void : Effect.fail(new SafetensorsError({ path, reason: unreadable(name, dtype) }))

const allocate = <A>(path: string, { name, elements }: StoredTensor, make: (elements: number) => A) =>
  Effect.try({
    try: () => make(elements),
    catch: () =>
      new SafetensorsError({ path, reason: `no memory for the ${elements} elements of tensor ${JSON.stringify(name)}` })
  })

/** An index of a large model has some 10,000 lines. */
const largestIndex = 2 ** 28

/** `weight_map` of an index: tensor name to the shard's file name. */
const readIndex = (path: string): Effect.Effect<ReadonlyMap<string, string>, SafetensorsError> =>
  Effect.gen(function* () {
    const bytes = yield* Effect.mapError(readWhole(path, largestIndex), refused)
    return yield* orRefuse(path, parseIndex(new TextDecoder().decode(bytes)))
  })

const parseIndex = (text: string): Result.Result<ReadonlyMap<string, string>, string> => {
  const json = parseJson(text)
  if (Result.isFailure(json)) return Result.fail(json.failure)
  const map = Predicate.isObject(json.success) ? json.success["weight_map"] : undefined
  if (!Predicate.isObject(map)) return Result.fail('has no object "weight_map"')
  const shards = new Map<string, string>()
  for (const [name, shard] of Object.entries(map)) {
    // A shard lies beside its index; a path that leads elsewhere is not followed, nor one that errors would not show as it is.
    if (typeof shard !== "string" || !/^[^/\\\p{Cc}]+\.safetensors$/u.test(shard)) {
      const placed = `tensor ${JSON.stringify(name)} is placed in ${JSON.stringify(shard)}`
      return Result.fail(`${placed}, which is no file name *.safetensors`)
    }
    shards.set(name, shard)
  }
  return Result.succeed(shards)
}

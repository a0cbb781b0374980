/**
 * The header of a GGUF file, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3:
 *
 *     "GGUF" | u32 version | u64 tensors | u64 entries of metadata
 *     each entry: string key | u32 type | value        a string: u64 length | UTF-8; an array: u32 type | u64 count | values
 *     each tensor: string name | u32 dimensions | u64 extents, the fastest first | u32 type | u64 offset
 *     padding to general.alignment (32) | data, to which the offsets are relative
 *
 * Everything is checked against the size of the file before anything is allocated for it.
 */
import type { Result } from "effect"
import { quote, refusals, refuse } from "../refusal.ts"
import { Cursor, named } from "./Cursor.ts"
import { nameOfType, readTypes, tensorTypes } from "./tensorTypes.ts"
import type { TensorTypeOfGguf } from "./tensorTypes.ts"

/** Whole numbers past 2^53 are bigint; numbers of an array lie in an array of their width. */
export type MetadataValue = string | number | bigint | boolean | ReadonlyArray<string> | NumberArray

export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array

export type Metadata = ReadonlyMap<string, MetadataValue>

/** Where one tensor lies; `begin` is counted from the start of the file. */
export interface GgufTensor {
  readonly name: string
  /** As everywhere here: the slowest first. */
  readonly shape: ReadonlyArray<number>
  readonly type: TensorTypeOfGguf
  readonly elements: number
  readonly begin: number
  readonly bytes: number
}

export interface GgufHeader {
  readonly metadata: Metadata
  /** In the order of their data. */
  readonly tensors: ReadonlyArray<GgufTensor>
}

/** Parses the header that `bytes`, the first of a file of `fileSize`, hold. Throws `Incomplete` where they are too few. */
export const parseGguf = (bytes: Uint8Array, fileSize: number): Result.Result<GgufHeader, string> =>
  refusals(() => {
    const cursor = new Cursor(bytes, fileSize)
    if (fileSize < 24) refuse(`truncated: the shortest GGUF file has 24 bytes, this one ${fileSize}`)
    if (cursor.u32("the magic") !== magic) refuse('does not begin with "GGUF"')
    checkVersion(cursor.u32("the version"))
    const tensorCount = cursor.count(leastTensor, "the number of tensors")
    const metadata = readMetadata(cursor, cursor.count(leastEntry, "the number of metadata entries"))
    const stored = readTensors(cursor, tensorCount)
    const dataStart = Math.ceil(cursor.at / alignmentOf(metadata)) * alignmentOf(metadata)
    return { metadata, tensors: placed(stored, dataStart, fileSize, alignmentOf(metadata)) }
  })

/** "GGUF", little-endian. */
const magic = 0x46554747

/** Bytes of an entry with an empty key and one byte; of a tensor without a name and dimensions. */
const leastEntry = 8 + 4 + 1
const leastTensor = 8 + 4 + 4 + 8

const checkVersion = (version: number): void => {
  if (version === 2 || version === 3) return
  // A version above 2^16 is a small one in the other order of bytes.
  if (version !== 0 && (version & 0xffff) === 0) refuse("is a big-endian GGUF file; Foretoken reads little-endian ones")
  refuse(`has GGUF version ${version}; Foretoken reads 2 and 3`)
}

const readMetadata = (cursor: Cursor, count: number): Metadata => {
  const metadata = new Map<string, MetadataValue>()
  for (let i = 0; i < count; i++) {
    const key = cursor.string(`the key of metadata entry ${i}`)
    if (metadata.has(key)) refuse(`has the key ${quote(key)} twice`)
    metadata.set(key, readValue(cursor, named("the value of", key)))
  }
  return metadata
}

const readValue = (cursor: Cursor, what: string): MetadataValue => {
  const type = cursor.u32(what)
  if (type === arrayType) return readArray(cursor, what)
  if (type === stringType) return cursor.string(what)
  if (type === boolType) return cursor.u8(what) !== 0
  const read = numberReaders.get(type) ?? refuse(`${what} has the unknown type ${type}`)
  const value = read.one(cursor, what)
  return typeof value === "bigint" && BigInt.asIntN(54, value) === value ? Number(value) : value
}

const boolType = 7
const stringType = 8
const arrayType = 9

/** By type: one number, and room for `count` of them, with their bytes. */
const numberReaders: ReadonlyMap<
  number,
  {
    readonly bytes: number
    readonly one: (cursor: Cursor, what: string) => number | bigint
    readonly room: (count: number) => NumberArray
  }
> = new Map([
  [0, { bytes: 1, one: ({ u8 }, what) => u8(what), room: (count) => new Uint8Array(count) }],
  [1, { bytes: 1, one: ({ i8 }, what) => i8(what), room: (count) => new Int8Array(count) }],
  [2, { bytes: 2, one: ({ u16 }, what) => u16(what), room: (count) => new Uint16Array(count) }],
  [3, { bytes: 2, one: ({ i16 }, what) => i16(what), room: (count) => new Int16Array(count) }],
  [4, { bytes: 4, one: ({ u32 }, what) => u32(what), room: (count) => new Uint32Array(count) }],
  [5, { bytes: 4, one: ({ i32 }, what) => i32(what), room: (count) => new Int32Array(count) }],
  [6, { bytes: 4, one: ({ f32 }, what) => f32(what), room: (count) => new Float32Array(count) }],
  [boolType, { bytes: 1, one: ({ u8 }, what) => u8(what), room: (count) => new Uint8Array(count) }],
  [10, { bytes: 8, one: ({ u64 }, what) => u64(what), room: (count) => new BigUint64Array(count) }],
  [11, { bytes: 8, one: ({ i64 }, what) => i64(what), room: (count) => new BigInt64Array(count) }],
  [12, { bytes: 8, one: ({ f64 }, what) => f64(what), room: (count) => new Float64Array(count) }]
])

const readArray = (cursor: Cursor, what: string): ReadonlyArray<string> | NumberArray => {
  const type = cursor.u32(what)
  if (type === stringType) {
    // Each string has at least its length. Pushed one by one: a lying count ends where the bytes end.
    const count = cursor.count(8, what)
    const strings: Array<string> = []
    while (strings.length < count) strings.push(cursor.string(what))
    return strings
  }
  if (type === arrayType) refuse(`${what} is an array of arrays, which Foretoken does not read`)
  const { bytes, one, room } = numberReaders.get(type) ?? refuse(`${what} is an array of the unknown type ${type}`)
  const count = cursor.count(bytes, what)
  const values = room(count)
  for (let i = 0; i < count; i++) values[i] = one(cursor, what)
  return values
}

interface Described {
  readonly name: string
  readonly extents: ReadonlyArray<bigint>
  readonly type: number
  readonly offset: bigint
}

const readTensors = (cursor: Cursor, count: number): ReadonlyArray<Described> => {
  const tensors: Array<Described> = []
  const names = new Set<string>()
  while (tensors.length < count) {
    const name = cursor.string(`the name of tensor ${tensors.length}`)
    const what = named("tensor", name)
    if (names.has(name)) refuse(`has ${what} twice`)
    names.add(name)
    const dimensions = cursor.u32(what)
    if (dimensions > mostDimensions) refuse(`${what} has ${dimensions} dimensions; ggml knows ${mostDimensions}`)
    const extents: Array<bigint> = []
    while (extents.length < dimensions) extents.push(cursor.u64(what))
    tensors.push({ name, extents, type: cursor.u32(what), offset: cursor.u64(what) })
  }
  return tensors
}

const mostDimensions = 4

const alignmentOf = (metadata: Metadata): number => {
  const alignment = metadata.get("general.alignment") ?? 32
  const isRight =
    typeof alignment === "number" && alignment >= 8 && alignment <= 2 ** 20 && Math.log2(alignment) % 1 === 0
  return isRight
    ? alignment
    : refuse(`general.alignment is ${String(alignment)}; a power of two from 8 on was expected`)
}

/** Where the data lie, in their order: inside the file, and no two in one place. */
const placed = (
  tensors: ReadonlyArray<Described>,
  dataStart: number,
  fileSize: number,
  alignment: number
): ReadonlyArray<GgufTensor> => {
  const sorted = tensors
    .map((tensor) => place(tensor, dataStart, fileSize, alignment))
    .toSorted((a, b) => a.begin - b.begin || a.bytes - b.bytes)
  let end = dataStart
  for (const { name, begin, bytes } of sorted) {
    if (begin < end) refuse(`the data of tensor ${quote(name)} overlap those of another tensor`)
    end = begin + bytes
  }
  return sorted
}

const place = (
  { name, extents, type: id, offset }: Described,
  dataStart: number,
  fileSize: number,
  alignment: number
): GgufTensor => {
  const what = named("tensor", name)
  const type = tensorTypes.get(id) ?? refuse(`${what} has type ${nameOfType(id)}; Foretoken reads ${readTypes}`)
  if (offset % BigInt(alignment) !== 0n) refuse(`${what} begins at offset ${offset}, no multiple of ${alignment}`)
  if (type.elements > 1 && (extents[0] ?? 1n) % BigInt(type.elements) !== 0n) {
    refuse(`${what} of type ${type.name} has rows of ${extents[0] ?? 1}, no multiple of ${type.elements}`)
  }
  // In BigInt: lying extents may pass 2^53.
  const elements = extents.reduce((product, extent) => product * extent, 1n)
  const bytes = (elements / BigInt(type.elements)) * BigInt(type.bytes)
  const end = BigInt(dataStart) + offset + bytes
  if (end > BigInt(fileSize)) refuse(`${what} would end at byte ${end}, the file has ${fileSize}: truncated?`)
  return {
    name,
    shape: extents.map(Number).toReversed(),
    type,
    elements: Number(elements),
    begin: dataStart + Number(offset),
    bytes: Number(bytes)
  }
}

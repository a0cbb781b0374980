/**
 * The header of a safetensors file, https://huggingface.co/docs/safetensors#format:
 *
 *     u64 little-endian N | N bytes of JSON | data
 *     JSON: { "__metadata__"?: { key: string }, name: { dtype, shape, data_offsets: [begin, end) in data } }
 *
 * The data of all tensors must cover the rest of the file without gaps or overlaps.
 * Everything here is checked against the file's size before anything is allocated for it.
 */
import { Predicate, Result } from "effect"
import { parseJson } from "../storage/boundedJson.ts"
import { quote, refusals, refuse } from "./refusal.ts"

/** The element types Foretoken reads and writes, and their bytes. */
export const widths = { F32: 4, F16: 2, BF16: 2 } as const

export type StoredDType = keyof typeof widths

/** Those of the format that are not read: a model may have such buffers beside its weights. Source: safetensors, `Dtype`. */
const otherWidths = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  I32: 4,
  U32: 4,
  F64: 8,
  I64: 8,
  U64: 8
} as const

/** Where one tensor lies: `begin` is counted from the start of the file, in bytes. */
export interface StoredTensor {
  readonly name: string
  readonly dtype: StoredDType | keyof typeof otherWidths
  readonly shape: ReadonlyArray<number>
  readonly elements: number
  readonly begin: number
  readonly bytes: number
}

/** The cap of the reference implementation. */
const largestHeader = 100_000_000

/** The length of the JSON, from the first 8 bytes of a file of `fileSize` bytes. */
export const headerLength = (prefix: Uint8Array, fileSize: number): Result.Result<number, string> =>
  refusals(() => {
    if (fileSize < 8) refuse(`truncated: a safetensors file starts with 8 bytes of length, this one has ${fileSize}`)
    const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true)
    if (length > BigInt(fileSize - 8)) {
      refuse(
        `the header claims ${length} bytes, the file has ${fileSize - 8} after the length: truncated or no safetensors`
      )
    }
    if (length > BigInt(largestHeader))
      refuse(`the header claims ${length} bytes, more than the ${largestHeader} allowed`)
    return Number(length)
  })

/** The tensors of a header in the order of their data. */
export const parseHeader = (header: Uint8Array, fileSize: number): Result.Result<ReadonlyArray<StoredTensor>, string> =>
  refusals(() => {
    const entries = parseObject(header)
    const dataStart = 8 + header.byteLength
    const tensors = Object.entries(entries)
      .filter(([name]) => name !== "__metadata__")
      .map(([name, entry]) => parseTensor(name, entry, dataStart, fileSize))
      .toSorted((a, b) => a.begin - b.begin || a.bytes - b.bytes)
    let end = dataStart
    for (const tensor of tensors) {
      if (tensor.begin < end) refuse(`the data of tensor ${quote(tensor.name)} overlap those of another tensor`)
      if (tensor.begin > end)
        refuse(`${tensor.begin - end} bytes before tensor ${quote(tensor.name)} belong to no tensor`)
      end += tensor.bytes
    }
    if (end < fileSize) refuse(`${fileSize - end} bytes at the end belong to no tensor`)
    return tensors
  })

/** A shape is three levels down. */
const deepest = 4

const parseObject = (header: Uint8Array): Record<string, unknown> => {
  let text: string
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(header)
  } catch {
    return refuse("the header is not UTF-8")
  }
  const parsed = parseJson(text, deepest)
  if (Result.isFailure(parsed)) return refuse(`the header ${parsed.failure}`)
  const json = parsed.success
  if (!Predicate.isObject(json)) return refuse("the header is JSON but not an object")
  refuseDuplicateKeys(text)
  return json as Record<string, unknown> // isObject gives Record<PropertyKey, unknown>; JSON has string keys only
}

/** JSON.parse keeps the last of two equal keys and is silent. `text` is known to be valid JSON; a regex would overflow its stack. */
const refuseDuplicateKeys = (text: string): void => {
  const open: Array<Set<string>> = []
  let at = 0
  while (at < text.length) {
    const start = at++
    if (text[start] === "{") open.push(new Set())
    else if (text[start] === "}") open.pop()
    else if (text[start] === '"') {
      while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1
      const string = text.slice(start, ++at)
      while (/\s/.test(text[at])) at++
      if (text[at] !== ":") continue
      const key: string = JSON.parse(string)
      const keys = open.at(-1)
      if (keys?.has(key)) refuse(`the header has the key ${quote(key)} twice`)
      keys?.add(key)
    }
  }
}

const everyWidth = { ...widths, ...otherWidths }

const isDType = (dtype: unknown): dtype is StoredTensor["dtype"] =>
  typeof dtype === "string" && Object.hasOwn(everyWidth, dtype)

export const isRead = (dtype: StoredTensor["dtype"]): dtype is StoredDType => Object.hasOwn(widths, dtype)

/** Why a tensor of another element type is refused. */
export const unreadable = (name: string, dtype: unknown): string =>
  `tensor ${quote(name)} has dtype ${quote(dtype)}; Foretoken reads F32, F16 and BF16`

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const parseTensor = (name: string, entry: unknown, dataStart: number, fileSize: number): StoredTensor => {
  const where = `tensor ${quote(name)}`
  if (!Predicate.isObject(entry)) return refuse(`${where} is not described by an object`)
  const { dtype, shape, data_offsets: offsets } = entry
  if (!isDType(dtype)) return refuse(unreadable(name, dtype))
  if (!Array.isArray(shape) || !shape.every(isCount)) return refuse(`${where} has no valid shape: ${quote(shape)}`)
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount) || offsets[0] > offsets[1]) {
    return refuse(`${where} has no valid data_offsets: ${quote(offsets)}`)
  }
  const [begin, end]: ReadonlyArray<number> = offsets
  const available = fileSize - dataStart
  if (end > available) return refuse(`${where} ends at byte ${end} of the data, the file has ${available}: truncated?`)
  // Counted in BigInt: a lying shape may pass 2^53.
  const elements = shape.reduce((product, extent) => product * BigInt(extent), 1n)
  const needed = elements * BigInt(everyWidth[dtype])
  if (needed !== BigInt(end - begin)) {
    return refuse(
      `${where} of dtype ${dtype} and shape [${quote(shape).slice(1, -1)}] needs ${needed} bytes, has ${end - begin}`
    )
  }
  return { name, dtype, shape, elements: Number(elements), begin: dataStart + begin, bytes: end - begin }
}

/** Length, JSON and padding of a file of tensors of one type whose data follow in the given order. */
export const encodeHeader = (
  dtype: StoredDType,
  tensors: ReadonlyArray<{ readonly name: string; readonly shape: ReadonlyArray<number>; readonly bytes: number }>
): Uint8Array => {
  let begin = 0
  const entries = tensors.map(({ name, shape, bytes }): [string, unknown] => {
    const offsets = [begin, begin + bytes]
    begin += bytes
    return [name, { dtype, shape, data_offsets: offsets }]
  })
  // "format": "pt" is what transformers asks of a file before it loads it.
  const json = new TextEncoder().encode(
    JSON.stringify(Object.fromEntries([["__metadata__", { format: "pt" }], ...entries]))
  )
  const padded = Math.ceil(json.byteLength / 8) * 8
  const header = new Uint8Array(8 + padded).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true)
  header.set(json, 8)
  return header
}

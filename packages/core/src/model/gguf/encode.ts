/** The bytes of a GGUF header, version 3: what `parseGguf` reads. */

/** An entry of metadata as it is written. */
export type Entry =
  | { readonly _tag: "text"; readonly value: string }
  | { readonly _tag: "u32"; readonly value: number }
  | { readonly _tag: "f32"; readonly value: number }
  | { readonly _tag: "flag"; readonly value: boolean }
  | { readonly _tag: "texts"; readonly value: ReadonlyArray<string> }
  | { readonly _tag: "f32s"; readonly value: ReadonlyArray<number> }
  | { readonly _tag: "i32s"; readonly value: ReadonlyArray<number> }

export interface Announced {
  readonly name: string
  /** The slowest first; the file has them the other way round. */
  readonly shape: ReadonlyArray<number>
  /** ggml's number. */
  readonly type: number
  readonly bytes: number
}

const alignment = 32

/** `bytes`, and so many more that the next tensor begins where it may. */
export const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/** Header and padding of a file whose tensors follow in this order, each padded to the alignment. */
export const encodeGguf = (
  metadata: ReadonlyArray<readonly [key: string, Entry]>,
  tensors: ReadonlyArray<Announced>
): Uint8Array => {
  const parts = [...partsOf(metadata, tensors)]
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const header = new Uint8Array(aligned(length))
  let at = 0
  for (const part of parts) {
    header.set(part, at)
    at += part.length
  }
  return header
}

function* partsOf(
  metadata: ReadonlyArray<readonly [key: string, Entry]>,
  tensors: ReadonlyArray<Announced>
): Generator<Uint8Array> {
  yield bytesOf("GGUF")
  yield u32(3)
  yield u64(tensors.length)
  yield u64(metadata.length)
  for (const [key, entry] of metadata) {
    yield text(key)
    yield* valueOf(entry)
  }
  let offset = 0
  for (const { name, shape, type, bytes } of tensors) {
    yield text(name)
    yield u32(shape.length)
    yield* shape.toReversed().map(u64)
    yield u32(type)
    yield u64(offset)
    offset += aligned(bytes)
  }
}

const valueOf = (entry: Entry): ReadonlyArray<Uint8Array> => {
  switch (entry._tag) {
    case "text":
      return [u32(8), text(entry.value)]
    case "u32":
      return [u32(4), u32(entry.value)]
    case "f32":
      return [u32(6), f32(entry.value)]
    case "flag":
      return [u32(7), Uint8Array.of(entry.value ? 1 : 0)]
    case "texts":
      return [...arrayOf(8, entry.value.length), ...entry.value.map(text)]
    case "f32s":
      return [...arrayOf(6, entry.value.length), ...entry.value.map(f32)]
    case "i32s":
      return [...arrayOf(5, entry.value.length), ...entry.value.map(u32)]
  }
}

const arrayOf = (type: number, length: number) => [u32(9), u32(type), u64(length)]

const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value)

const text = (value: string): Uint8Array => {
  const bytes = bytesOf(value)
  const out = new Uint8Array(8 + bytes.length)
  out.set(u64(bytes.length))
  out.set(bytes, 8)
  return out
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer)
const u64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)
const f32 = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer)

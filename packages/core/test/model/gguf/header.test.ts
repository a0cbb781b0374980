import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Incomplete } from "../../../src/model/gguf/Cursor.ts"
import { encodeGguf } from "../../../src/model/gguf/encode.ts"
import type { Announced, Entry } from "../../../src/model/gguf/encode.ts"
import { parseGguf } from "../../../src/model/gguf/header.ts"
import { loadModel } from "../../../src/model/ModelDirectory.ts"
import { ModelFileError } from "../../../src/model/ModelFileError.ts"
import { temporaryDirectory } from "../../temporary.ts"

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer)
const u64 = (value: bigint) => Buffer.from(BigUint64Array.of(value).buffer)
const text = (value: string) => Buffer.concat([u64(BigInt(Buffer.byteLength(value))), Buffer.from(value)])
const head = (tensors: bigint, entries: bigint, version = 3) =>
  Buffer.concat([Buffer.from("GGUF"), u32(version), u64(tensors), u64(entries)])
const entry = (key: string, type: number, value: Uint8Array) => Buffer.concat([text(key), u32(type), value])
const array = (type: number, count: bigint, values: Uint8Array) => Buffer.concat([u32(type), u64(count), values])
const tensor = (name: string, extents: ReadonlyArray<bigint>, type: number, offset: bigint) =>
  Buffer.concat([text(name), u32(extents.length), ...extents.map(u64), u32(type), u64(offset)])
const huge = 2n ** 60n

/** The header padded to 32, then zeros as data. */
const file = (header: Uint8Array, data = 0) =>
  Buffer.concat([header, new Uint8Array(((32 - (header.length % 32)) % 32) + data)])

const refusal = (bytes: Uint8Array): string => Result.getOrThrow(Result.flip(parseGguf(bytes, bytes.length)))

const one = head(1n, 0n)
const lies: ReadonlyArray<readonly [string, Uint8Array, RegExp]> = [
  ["another magic", file(Buffer.from("GGML".padEnd(24))), /does not begin with "GGUF"/],
  ["version 1", file(head(0n, 0n, 1)), /has GGUF version 1; Foretoken reads 2 and 3/],
  ["the other order of bytes", file(head(0n, 0n, 0x03000000)), /is a big-endian GGUF file/],
  ["2^60 tensors", head(huge, 0n), /the number of tensors claims 1152921504606846976 entries/],
  ["2^64 - 1 entries", head(0n, 2n ** 64n - 1n), /the number of metadata entries claims 18446744073709551615 entries/],
  [
    "a key of 2^60 bytes",
    Buffer.concat([head(0n, 1n), u64(huge), u32(0), u32(0)]),
    /the key of metadata entry 0 claims/
  ],
  [
    "an array of 2^60 strings",
    Buffer.concat([head(0n, 1n), entry("a", 9, array(8, huge, text("x")))]),
    /the value of "a" claims 1152921504606846976 entries/
  ],
  [
    "an array of 2^60 numbers",
    Buffer.concat([head(0n, 1n), entry("a", 9, array(12, huge, u64(0n)))]),
    /the value of "a" claims 1152921504606846976 entries/
  ],
  [
    "more strings than there are bytes for",
    Buffer.concat([head(0n, 1n), entry("a", 9, array(8, 2n, Buffer.concat([u64(9n), Buffer.alloc(8)])))]),
    /the value of "a" claims 9 entries/
  ],
  [
    "an array of arrays",
    Buffer.concat([head(0n, 1n), entry("a", 9, array(9, 1n, array(4, 1n, u32(1))))]),
    /an array of arrays, which Foretoken does not read/
  ],
  ["a type that is none", Buffer.concat([head(0n, 1n), entry("a", 77, u32(0))]), /has the unknown type 77/],
  [
    "a text that is no UTF-8",
    Buffer.concat([head(0n, 1n), entry("a", 8, Buffer.concat([u64(1n), Buffer.of(255)]))]),
    /is not UTF-8/
  ],
  [
    "the same key twice",
    Buffer.concat([head(0n, 2n), entry("a", 4, u32(0)), entry("a", 4, u32(0))]),
    /has the key "a" twice/
  ],
  [
    "the same tensor twice",
    file(Buffer.concat([head(2n, 0n), tensor("t", [1n], 0, 0n), tensor("t", [1n], 0, 32n)]), 64),
    /has tensor "t" twice/
  ],
  [
    "an alignment of 0",
    file(Buffer.concat([head(0n, 1n), entry("general.alignment", 4, u32(0))])),
    /general\.alignment is 0/
  ],
  [
    "an alignment of 33",
    file(Buffer.concat([head(0n, 1n), entry("general.alignment", 4, u32(33))])),
    /a power of two from 8 on/
  ],
  [
    "five dimensions",
    file(Buffer.concat([one, tensor("t", [1n, 1n, 1n, 1n, 1n], 0, 0n)]), 32),
    /has 5 dimensions; ggml knows 4/
  ],
  [
    "2^32 - 1 dimensions",
    Buffer.concat([one, text("t"), u32(2 ** 32 - 1), Buffer.alloc(32)]),
    /has 4294967295 dimensions/
  ],
  [
    "a type that is not read",
    file(Buffer.concat([one, tensor("t", [256n], 21, 0n)]), 512),
    /tensor "t" has type IQ3_S; Foretoken reads F32, F16, Q4_0/
  ],
  [
    "a type that nobody knows",
    file(Buffer.concat([one, tensor("t", [256n], 99, 0n)]), 512),
    /tensor "t" has type number 99/
  ],
  [
    "rows that are no whole blocks",
    file(Buffer.concat([one, tensor("t", [33n], 8, 0n)]), 64),
    /of type Q8_0 has rows of 33, no multiple of 32/
  ],
  [
    "data that end behind the file",
    file(Buffer.concat([one, tensor("t", [64n], 0, 0n)]), 32),
    /would end at byte \d+, the file has \d+: truncated\?/
  ],
  [
    "a size past 2^53",
    file(Buffer.concat([one, tensor("t", [2n ** 40n, 2n ** 40n], 0, 0n)]), 32),
    /would end at byte 48\d+, the file has/
  ],
  [
    "an offset past 2^63",
    file(Buffer.concat([one, tensor("t", [1n], 0, 2n ** 64n - 32n)]), 32),
    /would end at byte 18446744073709551\d+/
  ],
  [
    "an offset between alignments",
    file(Buffer.concat([one, tensor("t", [1n], 0, 4n)]), 64),
    /begins at offset 4, no multiple of 32/
  ],
  [
    "tensors that overlap",
    file(Buffer.concat([head(2n, 0n), tensor("a", [16n], 0, 0n), tensor("b", [8n], 0, 32n)]), 64),
    /"b" overlap/
  ]
]

describe("the header of a GGUF file", () => {
  it.each(lies)("is refused with %s", (_, bytes, reason) => {
    const said = refusal(bytes)
    expect(said).toMatch(reason)
    expect(said).not.toContain("\n")
  })

  const whole = readFileSync(fileURLToPath(new URL("tiny-llama.gguf", import.meta.url)))

  it("is refused wherever the file is cut off", () => {
    for (let size = 0; size < whole.length; size += size < 2000 ? 1 : 61) refusal(whole.subarray(0, size))
  })

  it("asks for more where the file has more than was read, and then says the same", () => {
    const right = Result.getOrThrow(parseGguf(whole, whole.length))
    for (const size of [24, 100, 5000]) {
      expect(() => parseGguf(whole.subarray(0, size), whole.length)).toThrow(Incomplete)
    }
    expect(Result.getOrThrow(parseGguf(whole.subarray(0, 20_000), whole.length))).toEqual(right)
  })

  it("is read as it was encoded", () => {
    const text = fc.string({ unit: "binary", maxLength: 8 }).filter((value) => value.isWellFormed())
    const i32 = fc.integer()
    const f32 = fc.float({ noNaN: true })
    const entry: fc.Arbitrary<Entry> = fc.oneof(
      text.map((value): Entry => ({ _tag: "text", value })),
      fc.nat().map((value): Entry => ({ _tag: "u32", value })),
      f32.map((value): Entry => ({ _tag: "f32", value })),
      fc.boolean().map((value): Entry => ({ _tag: "flag", value })),
      fc.array(text, { maxLength: 5 }).map((value): Entry => ({ _tag: "texts", value })),
      fc.array(f32, { maxLength: 5 }).map((value): Entry => ({ _tag: "f32s", value })),
      fc.array(i32, { maxLength: 5 }).map((value): Entry => ({ _tag: "i32s", value }))
    )
    const entries = fc.dictionary(
      text.filter((key) => key !== "general.alignment"),
      entry,
      { maxKeys: 6 }
    )
    const tensors = fc.dictionary(text, fc.array(fc.nat(4), { maxLength: 4 }), { maxKeys: 4 })
    fc.assert(
      fc.property(entries, tensors, (metadata, shapes) => {
        const announced = Object.entries(shapes).map(([name, shape]): Announced => {
          const elements = shape.reduce((a, b) => a * b, 1)
          return { name, shape, type: 0, bytes: 4 * elements }
        })
        const header = encodeGguf(Object.entries(metadata), announced)
        const size = header.length + announced.reduce((sum, { bytes }) => sum + Math.ceil(bytes / 32) * 32, 0)
        const bytes = Buffer.concat([header, new Uint8Array(size - header.length)])
        const read = Result.getOrThrow(parseGguf(bytes, size))
        const values = [...read.metadata].map(([key, value]) => [
          key,
          ArrayBuffer.isView(value) ? Array.from(value, Number) : value
        ])
        expect(values).toEqual(Object.entries(metadata).map(([key, { value }]) => [key, value]))
        expect(new Map(read.tensors.map(({ name, shape }) => [name, shape]))).toEqual(new Map(Object.entries(shapes)))
      })
    )
  })
})

describe("a GGUF file", () => {
  const directory = temporaryDirectory()
  const whole = readFileSync(fileURLToPath(new URL("tiny-llama.gguf", import.meta.url)))
  const failure = async (bytes: Uint8Array): Promise<string> => {
    const path = join(directory, "model.gguf")
    writeFileSync(path, bytes)
    const error = Result.getOrThrow(Result.flip(await Effect.runPromise(Effect.result(loadModel(path)))))
    expect(error).toBeInstanceOf(ModelFileError)
    expect(error.message).toMatch(/^[^\n]+$/)
    return error.message
  }
  /** The file with a text in it replaced by one as long. */
  const replaced = (from: string, to: string): Uint8Array => {
    const bytes = Buffer.from(whole)
    expect(Buffer.byteLength(from)).toBe(Buffer.byteLength(to))
    for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1)) bytes.write(to, at)
    return bytes
  }

  it.each([
    [
      "another architecture",
      replaced("llama", "bloom"),
      /the architecture "bloom" is not supported; llama, qwen2, qwen3, gpt2 are/
    ],
    [
      "a size that is missing",
      replaced("llama.block_count", "llamx.block_count"),
      /has no metadata "llama\.block_count"/
    ],
    [
      "a tensor that has no place in it",
      replaced("blk.1.ffn_up", "blk.1.ffn_xx"),
      /tensor "blk\.1\.ffn_xx\.weight" has no place in a llama model/
    ],
    [
      "an embedding that is missing",
      replaced("token_embd.weight", "token_embx.weight"),
      /has no tensor token_embd\.weight/
    ],
    [
      "fewer scores than tokens",
      replaced("tokenizer.ggml.scores", "tokenizer.ggml.scorez"),
      /has no tokenizer\.ggml\.scores/
    ]
  ])("is refused with %s", async (_, bytes, reason) => {
    expect(await failure(bytes)).toMatch(reason)
  })
})

import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { readSafetensors, readShardedSafetensors, writeSafetensors } from "../../src/model/safetensors.ts"
import { SafetensorsError } from "../../src/model/SafetensorsError.ts"
import { upperHalf, widenBF16, widenF16 } from "../../src/model/widen.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import type { HostF32 } from "../../src/tensor/HostTensor.ts"

const directory = mkdtempSync(join(tmpdir(), "foretoken-safetensors-"))
afterAll(() => rmSync(directory, { recursive: true }))
const path = join(directory, "model.safetensors")

const read = (file = path) => Effect.runPromise(Effect.result(readSafetensors(file)))
const bits = ({ data }: HostF32) => new Uint32Array(data.buffer, data.byteOffset, data.length)

/** Any header over any data, for lies. */
const file = (header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer => {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, data])
}

const refusal = async (bytes: Uint8Array): Promise<string> => {
  writeFileSync(path, bytes)
  const error = Result.getOrThrow(Result.flip(await read()))
  expect(error).toBeInstanceOf(SafetensorsError)
  expect(error.path).toBe(path)
  expect(error.reason).not.toContain("\n")
  return error.reason
}

const tensors = fc.dictionary(
  fc
    .oneof(fc.string({ unit: "binary" }), fc.constantFrom("__proto__", "constructor", "toString", "7", ""))
    .filter((name) => name !== "__metadata__" && name.isWellFormed()),
  fc.array(fc.nat(3), { maxLength: 3 }).chain((shape) => {
    const length = shape.reduce((a, b) => a * b, 1)
    // Any 32 bits: NaN payloads, -0 and subnormals too.
    const words = fc.array(fc.integer(), { minLength: length, maxLength: length })
    return words.map((words): HostF32 => HostTensor.f32(shape, new Float32Array(Int32Array.from(words).buffer)))
  }),
  { maxKeys: 5 }
)

describe("safetensors", () => {
  it("gives back every bit that was written", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, async (written) => {
        await Effect.runPromise(writeSafetensors(path, written))
        const back = Result.getOrThrow(await read())
        expect(Object.keys(back).toSorted()).toEqual(Object.keys(written).toSorted())
        for (const name of Object.keys(written)) {
          expect(back[name].shape).toEqual(written[name].shape)
          expect(bits(back[name])).toEqual(bits(written[name]))
        }
      })
    )
  })

  it("writes equal files for equal tensors, 8-byte aligned, marked for transformers", async () => {
    const a = HostTensor.f32([2], [1, 2])
    const b = HostTensor.f32([1], [3])
    await Effect.runPromise(writeSafetensors(path, { b, a }))
    const first = readFileSync(path)
    await Effect.runPromise(writeSafetensors(path, { a, b }))
    expect(readFileSync(path)).toEqual(first)
    const length = Number(first.readBigUInt64LE())
    expect(length % 8).toBe(0)
    expect(JSON.parse(first.toString("utf8", 8, 8 + length))).toEqual({
      __metadata__: { format: "pt" },
      a: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
      b: { dtype: "F32", shape: [1], data_offsets: [8, 12] }
    })
    expect(readdirSync(directory)).toEqual(["model.safetensors"])
  })

  it("refuses every truncation of a file, and every file with something after its end", async () => {
    await Effect.runPromise(
      writeSafetensors(path, { a: HostTensor.f32([2, 2], [1, 2, 3, 4]), b: HostTensor.f32([], [5]) })
    )
    const whole = readFileSync(path)
    for (let size = 0; size < whole.length; size++) await refusal(whole.subarray(0, size))
    expect(await refusal(Buffer.concat([whole, Buffer.from([0])]))).toBe("1 bytes at the end belong to no tensor")
  })

  it("answers any change of bytes in a file with tensors or with a typed error, never otherwise", async () => {
    const whole = file({ a: { dtype: "F32", shape: [2], data_offsets: [0, 8] } }, new Uint8Array(8))
    const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bytes = Buffer.from(whole)
        for (const { at, byte } of changes) bytes[at] = byte
        writeFileSync(path, bytes)
        const result = await read()
        if (Result.isFailure(result)) expect(result.failure).toBeInstanceOf(SafetensorsError)
      }),
      { numRuns: 500 }
    )
  })

  const entry = (part: object) => ({ dtype: "F32", shape: [1], data_offsets: [0, 4], ...part })
  const four = new Uint8Array(4)
  const eight = new Uint8Array(8)
  const lies: ReadonlyArray<readonly [string, Buffer, RegExp]> = [
    [
      "a header longer than the file",
      Buffer.from("ffffffffffffff7f7b7d", "hex"),
      /header claims 9223372036854775807 bytes, the file has 2/
    ],
    ["a header that is no JSON", file("{nope"), /not JSON/],
    ["a header that is no object", file("[1]"), /not an object/],
    ["a header of five million open brackets", file("[".repeat(5e6)), /nested deeper than 4 levels/],
    ["a header that is no UTF-8", Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0xff])]), /not UTF-8/],
    [
      "the same name twice",
      file(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        four
      ),
      /key "a" twice/
    ],
    [
      "the same field twice",
      file('{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', four),
      /key "shape" twice/
    ],
    ["a tensor that is no object", file({ a: 3 }), /tensor "a" is not described by an object/],
    [
      "another element type",
      file({ a: entry({ dtype: "I32" }) }, four),
      /tensor "a" has dtype "I32"; Foretoken reads F32, F16 and BF16/
    ],
    [
      "an element type that is none",
      file({ a: entry({ dtype: "toString" }) }, four),
      /tensor "a" has dtype "toString"/
    ],
    ["a shape below zero", file({ a: entry({ shape: [-1] }) }, four), /no valid shape: \[-1\]/],
    ["a shape of fractions", file({ a: entry({ shape: [0.5] }) }, four), /no valid shape/],
    [
      "a shape whose size is past 2^53",
      file({ a: entry({ shape: [2 ** 52, 2 ** 52, 2 ** 52] }) }, four),
      /needs 36\d+ bytes, has 4/
    ],
    ["a shape too large for its bytes", file({ a: entry({ shape: [2] }) }, four), /needs 8 bytes, has 4/],
    [
      "bytes for another element type",
      file({ a: entry({ dtype: "F16" }) }, four),
      /dtype F16 and shape \[1\] needs 2 bytes, has 4/
    ],
    [
      "offsets outside the file",
      file({ a: entry({ data_offsets: [4, 8] }) }, four),
      /ends at byte 8 of the data, the file has 4/
    ],
    ["offsets that run backwards", file({ a: entry({ data_offsets: [4, 0] }) }, four), /no valid data_offsets/],
    ["offsets past 2^53", file({ a: entry({ data_offsets: [0, 2 ** 60] }) }, four), /no valid data_offsets/],
    ["tensors that overlap", file({ a: entry({}), b: entry({}) }, four), /"b" overlap/],
    [
      "a hole before a tensor",
      file({ a: entry({ data_offsets: [4, 8] }) }, eight),
      /4 bytes before tensor "a" belong to no tensor/
    ]
  ]
  it.each(lies)("refuses %s", async (_, bytes, reason) => {
    expect(await refusal(bytes)).toMatch(reason)
  })

  it("reads a name of ten million characters without running out of stack", async () => {
    const name = "a".repeat(1e7)
    writeFileSync(path, file({ [name]: entry({}) }, four))
    expect(Object.keys(Result.getOrThrow(await read()))).toEqual([name])
  })

  it("says so where the path is missing or a directory", async () => {
    const reason = async (file: string) => Result.getOrThrow(Result.flip(await read(file))).message
    expect(await reason(join(directory, "none"))).toBe(`${join(directory, "none")}: no such file or directory`)
    expect(await reason(directory)).toBe(`${directory}: is not a file`)
    if (process.platform === "win32") return
    // Opening one waits for whoever writes to it.
    const pipe = join(directory, "pipe")
    execFileSync("mkfifo", [pipe])
    expect(await reason(pipe)).toBe(`${pipe}: is not a file`)
    rmSync(pipe)
  })

  it("widens F16 and BF16 tensors", async () => {
    const halves = new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x3f80, 0xc040).buffer)
    const header = {
      f: { dtype: "F16", shape: [2], data_offsets: [0, 4] },
      b: { dtype: "BF16", shape: [1, 2], data_offsets: [4, 8] }
    }
    writeFileSync(path, file(header, halves))
    const { f, b } = Result.getOrThrow(await read())
    expect(f).toEqual({ dtype: "f32", shape: [2], data: Float32Array.of(1, -2) })
    expect(b).toEqual({ dtype: "f32", shape: [1, 2], data: Float32Array.of(1, -3) })
  })
})

describe("widening", () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, i) => i)
  const widened = (widen: (values: Float32Array) => void): Float32Array => {
    const values = new Float32Array(all.length)
    upperHalf(values).set(new Uint8Array(all.buffer))
    widen(values)
    return values
  }
  const differing = (a: Float32Array, b: ArrayLike<number>) => a.findIndex((value, i) => !Object.is(value, b[i]))

  it("of every F16 bit pattern agrees with the definition, sign * mantissa * 2^exponent", () => {
    const definition = Array.from(all, (half) => {
      const exponent = (half >> 10) & 31
      const fraction = (half & 1023) / 1024
      const magnitude =
        exponent === 31
          ? fraction
            ? NaN
            : Infinity
          : exponent === 0
            ? fraction * 2 ** -14
            : (1 + fraction) * 2 ** (exponent - 15)
      return half >= 0x8000 ? -magnitude : magnitude
    })
    expect(differing(widened(widenF16), definition)).toBe(-1)
  })

  it("of every F16 bit pattern agrees with the engine's Float16Array", () => {
    // The library types of ES2024 do not have Float16Array yet; Node 24 does.
    const engine = globalThis as unknown as { Float16Array: new (buffer: ArrayBufferLike) => ArrayLike<number> }
    expect(differing(widened(widenF16), new engine.Float16Array(all.buffer))).toBe(-1)
  })

  it("of every BF16 bit pattern puts 16 zero bits below it", () => {
    const view = new DataView(new ArrayBuffer(4))
    const definition = Array.from(all, (half) => {
      view.setUint16(0, half)
      return view.getFloat32(0)
    })
    expect(differing(widened(widenBF16), definition)).toBe(-1)
  })
})

describe("a sharded model", () => {
  const index = join(directory, "model.safetensors.index.json")
  const writeIndex = (map: unknown) => writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: map }))
  const shard = (name: string, tensors: Record<string, HostF32>) =>
    Effect.runPromise(writeSafetensors(join(directory, name), tensors))
  const readIndex = () => Effect.runPromise(Effect.result(readShardedSafetensors(index)))
  const failure = async () => Result.getOrThrow(Result.flip(await readIndex())).message
  const a = HostTensor.f32([1], [1])
  const b = HostTensor.f32([2], [2, 3])

  it("is the union of its shards", async () => {
    await shard("1.safetensors", { a })
    await shard("2.safetensors", { b })
    writeIndex({ b: "2.safetensors", a: "1.safetensors" })
    expect(Result.getOrThrow(await readIndex())).toEqual({ a, b })
  })

  it("is refused where index and shards disagree", async () => {
    writeIndex({ a: "1.safetensors", b: "none.safetensors" })
    expect(await failure()).toMatch(/none\.safetensors: no such file/)
    writeIndex({ a: "1.safetensors", c: "1.safetensors" })
    expect(await failure()).toMatch(
      /1\.safetensors: tensor "c" is not here, though model\.safetensors\.index\.json says so/
    )
    writeIndex({ a: "1.safetensors", c: "2.safetensors" })
    expect(await failure()).toMatch(
      /2\.safetensors: holds tensor "b", which model\.safetensors\.index\.json does not place there/
    )
  })

  it("is refused where the index is broken or leads out of its directory", async () => {
    writeFileSync(index, "{")
    expect(await failure()).toMatch(/index\.json: is not JSON/)
    writeFileSync(index, "{}")
    expect(await failure()).toMatch(/has no object "weight_map"/)
    for (const shard of [
      "../1.safetensors",
      "/etc/x.safetensors",
      "a\\b.safetensors",
      "a\u0000\u001b.safetensors",
      "x.bin",
      3
    ]) {
      writeIndex({ a: shard })
      expect(await failure()).toMatch(/which is no file name \*\.safetensors/)
    }
  })
})

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import type { Reader } from "./fuzz/fuzz.ts"
import { fuzz, fuzzed } from "./fuzz/fuzz.ts"
import { modelFiles } from "./fuzz/modelFiles.ts"
import { configs, corpora, frames, headers } from "./fuzz/readers.ts"
import { tokenizers } from "./fuzz/tokenizers.ts"

const directory = mkdtempSync(join(tmpdir(), "foretoken-fuzz-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe("20,000 inputs that nobody meant", () => {
  for (const reader of [frames, headers, configs, corpora(directory), modelFiles]) {
    it(`that are ${reader.name} are values or typed errors, and nobody makes room for what they claim`, () =>
      fuzzed(reader, 4000, 1))
  }
})

it("1,000 tokenizers that nobody meant spell a text or say that they cannot", () => fuzzed(tokenizers, 1000, 1))

describe("the fuzzing", () => {
  const planted = (read: (input: Uint8Array) => void): Reader => ({
    name: "planted",
    read: async (random) => {
      const input = Uint8Array.from({ length: 8 }, () => random.below(256))
      read(input)
      return { input, outcome: { _tag: "Value" } }
    }
  })
  const length = (input: Uint8Array) => new DataView(input.buffer).getUint32(0)

  it("finds a reader that trusts a length, one that throws, and one that fails without a type or in two lines", async () => {
    const trusting = planted((input) => void new Float64Array(length(input) >>> 4))
    await expect(fuzz(trusting, 100, 1)).rejects.toThrow(
      /^planted: case \d+ of seed 1: Error: \d+ bytes were asked for/
    )
    const lists = planted((input) => void Array(length(input) >>> 4))
    await expect(fuzz(lists, 100, 1)).rejects.toThrow(/bytes were asked for/)
    const throwing = planted((input) => void "abc".at(length(input) % 4)?.length.toFixed(input[0]))
    await expect(fuzz(throwing, 100, 1)).rejects.toThrow(/RangeError/)
    for (const error of [new Error("no type"), Object.assign(new Error("two\nlines"), { _tag: "E" })]) {
      const failing: Reader = {
        name: "failing",
        read: async () => ({ input: new Uint8Array(1), outcome: { _tag: "Refused", error } })
      }
      await expect(fuzz(failing, 1, 1)).rejects.toThrow(/not a typed error|not one line/)
    }
  })

  it("makes the same input from seed and number", async () => {
    const inputs: Array<string> = []
    const noting = planted((input) => void inputs.push(input.join()))
    await fuzz(noting, 10, 5)
    await fuzz(noting, 1, 5, 7)
    expect(inputs[10]).toBe(inputs[7])
    expect(new Set(inputs).size).toBe(10)
  })
})

import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Result } from "effect"
import { describe, expect, it } from "vitest"
import { loadTokenizer } from "../../../src/model/loadTokenizer.ts"
import { loadModel } from "../../../src/model/ModelDirectory.ts"
import { ModelFileError } from "../../../src/model/ModelFileError.ts"
import type { HostF32 } from "../../../src/tensor/HostTensor.ts"
import { temporaryDirectory } from "../../temporary.ts"

/** Made by tiny.py, which stands beside it: SHA-256 by transformers' names. */
const golden: Readonly<Record<string, Readonly<Record<string, string>>>> = JSON.parse(
  readFileSync(new URL("tiny.json", import.meta.url), "utf8")
)
const pathOf = (name: string) => fileURLToPath(new URL(`${name}/model.bin`, import.meta.url))

const hashOf = ({ shape, data }: HostF32) =>
  createHash("sha256")
    .update(`[${shape.join(", ")}]`)
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest("hex")

const directory = temporaryDirectory()

const refusal = async (bytes: Uint8Array): Promise<string> => {
  const path = join(directory, "model.bin")
  writeFileSync(path, bytes)
  const error = Result.getOrThrow(Result.flip(await Effect.runPromise(Effect.result(loadModel(path)))))
  expect(error).toBeInstanceOf(ModelFileError)
  expect(error.message).toMatch(/^[^\n]+$/)
  return error.message
}

describe("a checkpoint of llama2.c", () => {
  it.each(Object.keys(golden))(
    "(%s) has the weights that were put into it, in transformers' layout, bit for bit",
    async (name) => {
      const { config, weights } = await Effect.runPromise(loadModel(pathOf(name)))
      const hashes = Object.fromEntries(Object.entries(weights).map(([tensor, values]) => [tensor, hashOf(values)]))
      expect(hashes).toEqual(golden[name])
      expect(config).toMatchObject({
        vocabSize: 270,
        hiddenSize: 16,
        intermediateSize: 24,
        layers: 2,
        heads: 2,
        kvHeads: 1,
        headDim: 8,
        maxPositions: 32,
        tieWordEmbeddings: name !== "legacy",
        bos: { _tag: "one", id: 1 },
        eos: { _tag: "one", id: 2 }
      })
    }
  )

  it("has the tokenizer that lies beside it", async () => {
    const tokenizer = await Effect.runPromise(loadTokenizer(pathOf("v1")))
    const pieces = (text: string) => Array.from(tokenizer.encode(text), (id) => tokenizer.text([id]))
    expect(pieces("the the")).toEqual([" the", " the"])
    expect([...tokenizer.bytesOf(tokenizer.encode("hé</s>"))]).toEqual([...Buffer.from(" hé</s>")])
    expect(tokenizer).toMatchObject({ vocabSize: 270, bos: 1, eos: 2, prefix: Int32Array.of(1) })
    const error = await Effect.runPromise(Effect.flip(loadTokenizer(pathOf("v2"))))
    expect(error.message).toMatch(/model\.bin: has no tokenizer\.bin beside it$/)
  })

  it("is refused at every truncation of its header and at any other size than its header asks for", async () => {
    const whole = readFileSync(pathOf("v1"))
    for (let size = 0; size < 260; size++) await refusal(whole.subarray(0, size))
    expect(await refusal(whole.subarray(0, -1))).toMatch(/its header asks for more than the \d+ bytes it has$/)
    expect(await refusal(Buffer.concat([whole, Buffer.of(0)]))).toMatch(/its header asks for \d+ bytes, it has \d+$/)
  })

  const changed = (at: number, value: number): Uint8Array => {
    const bytes = readFileSync(pathOf("v1"))
    bytes.writeInt32LE(value, at)
    return bytes
  }

  it.each([
    ["another version", changed(4, 3), /version 3 of llama2\.c's checkpoints; 1 and 2 are read/],
    ["a width below zero", changed(8, -16), /its hiddenSize would be -16/],
    ["sizes whose product is past 2^53", changed(8, 2 ** 31 - 4), /its header asks for more than/],
    ["2 billion layers", changed(16, 2 ** 31 - 1), /its header asks for more than/],
    ["heads that do not fit the width", changed(20, 3), /3 heads and 1 key\/value heads do not fit a width of 16/],
    ["no vocabulary", changed(28, 0), /its vocabSize would be 0/],
    [
      "another file altogether",
      Buffer.from("once upon a time there was a file"),
      /is neither a GGUF file nor a llama2\.c checkpoint/
    ]
  ])("is refused with %s", async (_, bytes, reason) => {
    expect(await refusal(bytes)).toMatch(reason)
  })

  it("is refused with a tokenizer.bin that is cut off, too long, or of another vocabulary", async () => {
    const tokens = readFileSync(fileURLToPath(new URL("v1/tokenizer.bin", import.meta.url)))
    const lying = Buffer.from(tokens)
    lying.writeInt32LE(2 ** 31 - 1, 8)
    const cases: ReadonlyArray<readonly [Uint8Array, RegExp]> = [
      [tokens.subarray(0, -1), /truncated: token 269 would end at byte \d+, the file has \d+/],
      [Buffer.concat([tokens, Buffer.of(0)]), /has 1 bytes after the 270 tokens of the model/],
      [tokens.subarray(0, tokens.length - 9), /has 269 tokens, the model 270/],
      [lying, /truncated: token 0 would end at byte 2147483659/]
    ]
    for (const [bytes, reason] of cases) {
      writeFileSync(join(directory, "tokenizer.bin"), bytes)
      expect(await refusal(readFileSync(pathOf("v1")))).toMatch(reason)
    }
  })
})

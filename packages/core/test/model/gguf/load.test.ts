import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { loadTokenizer } from "../../../src/model/loadTokenizer.ts"
import { saveGguf } from "../../../src/model/gguf/save.ts"
import { loadKeptModel, loadModel } from "../../../src/model/ModelDirectory.ts"
import { weightsHash } from "../../../src/model/weights.ts"
import type { HostF32 } from "../../../src/tensor/HostTensor.ts"

/** Made by tiny.py, which stands beside it, with the gguf package of llama.cpp: SHA-256 by transformers' names. */
const golden: Readonly<Record<string, Readonly<Record<string, string>>>> = JSON.parse(
  readFileSync(new URL("tiny.json", import.meta.url), "utf8")
)
const pathOf = (name: string) => fileURLToPath(new URL(`tiny-${name}.gguf`, import.meta.url))
const load = (name: string) => Effect.runPromise(loadModel(pathOf(name)))

const hashOf = ({ shape, data }: HostF32) =>
  createHash("sha256")
    .update(`[${shape.join(", ")}]`)
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest("hex")

const sizes = { vocabSize: 280, hiddenSize: 32, intermediateSize: 64, layers: 2, heads: 4, maxPositions: 64 }

describe("a GGUF file of the gguf package", () => {
  it.each(Object.keys(golden))(
    "of %s has the weights that were put into it, in transformers' layout, bit for bit",
    async (name) => {
      const { config, weights } = await load(name)
      const hashes = Object.fromEntries(Object.entries(weights).map(([tensor, values]) => [tensor, hashOf(values)]))
      expect(hashes).toEqual(golden[name])
      expect(config).toMatchObject(sizes)
    }
  )

  it.each(Object.keys(golden))("of %s has the same weights where F16 and BF16 stay in two bytes", async (name) => {
    const directory = mkdtempSync(join(tmpdir(), "foretoken-gguf-"))
    const written = async (type: "F16" | "BF16" | "Q8_0") => {
      const path = join(directory, `${type}.gguf`)
      await Effect.runPromise(saveGguf(path, await load(name), type))
      return path
    }
    for (const [path, expected] of [
      [pathOf(name), undefined],
      [await written("F16"), "f16"],
      [await written("BF16"), "bf16"],
      [await written("Q8_0"), "f32"]
    ] as const) {
      const [kept, wide] = await Effect.runPromise(Effect.all([loadKeptModel(path), loadModel(path)]))
      expect(weightsHash(kept.weights)).toBe(weightsHash(wide.weights))
      // llama.cpp keeps learned positions in f32, as it does norms.
      const matrices = Object.entries(kept.weights).filter(
        ([of, { shape }]) => shape.length === 2 && !of.includes("wpe")
      )
      if (expected !== undefined) expect(new Set(matrices.map(([, { dtype }]) => dtype))).toEqual(new Set([expected]))
    }
    rmSync(directory, { recursive: true })
  })

  it("of llama has its numbers as config.json would, and Llama 3's scaling from its divisors", async () => {
    const { config } = await load("llama")
    expect(config).toMatchObject({
      kvHeads: 2,
      headDim: 8,
      tieWordEmbeddings: false,
      bos: { _tag: "one", id: 1 },
      eos: { _tag: "one", id: 2 }
    })
    expect(JSON.stringify(config)).toContain('"eps":0.000001')
    expect(JSON.stringify(config)).toContain(
      '{"_tag":"llama3","theta":10000,"factor":8,"lowFreqFactor":1,"highFreqFactor":4,"originalMaxPositions":100}'
    )
  })

  it("of llama carries SentencePiece's vocabulary as merges by score, with bytes to fall back to", async () => {
    const tokenizer = await Effect.runPromise(loadTokenizer(pathOf("llama")))
    const pieces = (text: string) => Array.from(tokenizer.encode(text), (id) => tokenizer.text([id]))
    expect(pieces("the and")).toEqual([" the", " and"])
    expect(pieces("hé")).toEqual([" ", "h", "�", "�"])
    expect([...tokenizer.bytesOf(tokenizer.encode("hé"))]).toEqual([...Buffer.from(" hé")])
    expect(tokenizer).toMatchObject({ vocabSize: 277, bos: 1, eos: 2, prefix: Int32Array.of(1) })
    expect(tokenizer.files.get("tokenizer_config.json")).toContain("{{ bos_token }}{{ messages[0].content }}")
  })

  it("of gpt2 carries merges over bytes", async () => {
    const tokenizer = await Effect.runPromise(loadTokenizer(pathOf("gpt2")))
    const pieces = (text: string) => Array.from(tokenizer.encode(text), (id) => tokenizer.text([id]))
    expect(pieces(" the and")).toEqual([" the", " and"])
    expect(pieces("<|endoftext|>").length).toBeGreaterThan(1)
    expect([...tokenizer.encodePrompt("<|endoftext|>", "continues")]).toEqual([263])
    expect(tokenizer).toMatchObject({ bos: 263, eos: 263, prefix: new Int32Array(0) })
  })
})

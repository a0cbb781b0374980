import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Result } from "effect"
import { describe, expect, it } from "vitest"
import * as Tokenizer from "../../../src/data/Tokenizer.ts"
import { encodeGguf } from "../../../src/model/gguf/encode.ts"
import { parseGguf } from "../../../src/model/gguf/header.ts"
import type { Metadata } from "../../../src/model/gguf/header.ts"
import { tokenizerFilesOf } from "../../../src/model/gguf/tokenizer.ts"
import { vocabularyMetadata } from "../../../src/model/gguf/vocabularyMetadata.ts"
import { shared } from "../../data/shared.ts"

interface Original {
  readonly files: Readonly<Record<string, Uint8Array>>
  readonly tokenizer: Tokenizer.Tokenizer
}

const original = (directory: string): Original => {
  const text = (name: string) => readFileSync(join(directory, name), "utf8")
  const source = { name: directory, tokenizer: text("tokenizer.json"), config: text("tokenizer_config.json") }
  const bytes = (name: string) => new Uint8Array(readFileSync(join(directory, name)))
  return {
    files: { "tokenizer.json": bytes("tokenizer.json"), "tokenizer_config.json": bytes("tokenizer_config.json") },
    tokenizer: Tokenizer.build(source)
  }
}

/** What a GGUF file with these entries would carry, with the file's own tokenizer.json or without it. */
const carried = ({ files, tokenizer }: Original, keepJson: boolean): Metadata => {
  const entries = vocabularyMetadata(files, tokenizer.vocabSize)
  const special = (["bos", "eos"] as const).flatMap((name) => {
    const value = tokenizer[name]
    return value === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, { _tag: "u32", value }] as const]
  })
  const kept = [...entries, ...special].filter(([key]) => keepJson || key !== "tokenizer.huggingface.json")
  const bytes = encodeGguf(kept, [])
  return Result.getOrThrow(parseGguf(bytes, bytes.length)).metadata
}

const rebuilt = (metadata: Metadata): Tokenizer.Tokenizer => {
  const files = tokenizerFilesOf(metadata)
  return Tokenizer.build({
    name: "rebuilt",
    tokenizer: files["tokenizer.json"],
    config: files["tokenizer_config.json"]
  })
}

const texts = (): ReadonlyArray<string> => {
  const start = (path: string) => readFileSync(shared(path).path, "utf8").slice(0, 30_000)
  const lines = ["data/gsm8k/train.jsonl", "data/wikitext-2/test.txt", "data/tinystories/valid.txt"].flatMap((path) =>
    start(path).split("\n\n")
  )
  return [
    ...lines,
    "  two  spaces,\ttabs\r\n\r\n and 1234567 numbers",
    "naïve 東京 🙂🏽 \u0301 é",
    "I'll HE'LL don't",
    "<s>a</s> b<|endoftext|>c",
    ""
  ]
}

describe("the tokenizer in a GGUF file", () => {
  it.for(["stories15M", "tokenizers/gpt2", "tokenizers/qwen2_5"])(
    "of %s cuts texts, made again from llama.cpp's entries alone, as the original does",
    (name, { skip }) => {
      const { path, missing } = shared(`models/${name}`)
      if (missing || shared("data").missing) skip()
      const one = original(path)
      const again = rebuilt(carried(one, false))
      expect([again.vocabSize, again.bos, again.eos, [...again.prefix]]).toEqual([
        one.tokenizer.vocabSize,
        one.tokenizer.bos,
        one.tokenizer.eos,
        [...one.tokenizer.prefix]
      ])
      for (const text of texts()) {
        expect([...again.encode(text)], JSON.stringify(text)).toEqual([...one.tokenizer.encode(text)])
        const prompts = [again, one.tokenizer].map(({ encodePrompt }) => [...encodePrompt(text, "continues")])
        expect(prompts[0], JSON.stringify(text)).toEqual(prompts[1])
      }
    }
  )

  it("is the original tokenizer.json, where that is in it too", ({ skip }) => {
    const { path, missing } = shared("models/stories15M")
    if (missing) skip()
    const one = original(path)
    const files = tokenizerFilesOf(carried(one, true))
    expect(files["tokenizer.json"]).toBe(new TextDecoder().decode(one.files["tokenizer.json"]))
  })
})

const stories = shared("models/stories15M")

it.skipIf(stories.missing)(
  "Llama's merges follow from its pieces and their scores, all of them and in their order",
  () => {
    const json = JSON.parse(readFileSync(join(stories.path, "tokenizer.json"), "utf8"))
    const tokens = Object.entries<number>(json.model.vocab)
      .toSorted(([, a], [, b]) => a - b)
      .map(([token]) => token)
    // As in Llama's tokenizer.model: the first piece behind the bytes has score 0, each next one 1 less; runs of spaces are last.
    const scores = Float32Array.from(tokens, (token, id) => (/^▁▁+$/.test(token) ? -1e9 : Math.min(0, 259 - id)))
    const types = Int32Array.from(tokens, (_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))
    const metadata: Metadata = new Map<string, string | ReadonlyArray<string> | Float32Array | Int32Array>([
      ["tokenizer.ggml.model", "llama"],
      ["tokenizer.ggml.tokens", tokens],
      ["tokenizer.ggml.scores", scores],
      ["tokenizer.ggml.token_type", types]
    ])
    const { merges } = JSON.parse(tokenizerFilesOf(metadata)["tokenizer.json"]).model
    const firstDifference = json.model.merges.findIndex(
      (merge: unknown, i: number) => String(merges[i]) !== String(merge)
    )
    expect([merges.length, firstDifference]).toEqual([json.model.merges.length, -1])
  }
)

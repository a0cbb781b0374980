/** Tokenizers against texts that nobody would think of, and against Python's `tokenizers` on whole corpora. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { pythonHas, pythonIds } from "../packages/core/test/data/python.ts"
import { shared } from "../packages/core/test/data/shared.ts"
import { made, real } from "../packages/core/test/data/vocabularies.ts"
import type { Random } from "./fuzz/mutate.ts"
import { randomOf } from "./fuzz/mutate.ts"

const directory = mkdtempSync(join(tmpdir(), "foretoken-tokenizers-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** First and last code point of what a text is made of: scripts, marks, emoji, controls, surrogates, everything. */
const ranges = [
  [0x20, 0x7e],
  [0x20, 0x7e],
  [0, 0xff],
  [0x300, 0x36f],
  [0x370, 0x5ff],
  [0x600, 0x6ff],
  [0x900, 0xeff],
  [0x1100, 0x11ff],
  [0x2000, 0x2bff],
  [0x3040, 0x9fff],
  [0xac00, 0xd7ff],
  [0xd800, 0xffff],
  [0x1f1e6, 0x1faff],
  [0, 0x10ffff]
] as const
const snippets = ["'s", "'LL", " ", "  ", "\n\n", "\r\n", "\u200d", "\ufe0f", "▁", "Ġ", "<s>", "<|im_end|>", "<0x41>"]

const anyString = (random: Random): string => {
  const [first, last] = random.oneOf(ranges)
  const piece = () =>
    random.below(6) === 0 ? random.oneOf(snippets) : String.fromCodePoint(first + random.below(last - first + 1))
  return Array.from({ length: random.below(10) }, piece).join("")
}

const vocabularies = [...made, ...real()]

describe("100,000 random strings", () => {
  const strings = Array.from({ length: 100_000 }, (_, i) => anyString(randomOf(1, i)))
  const utf8 = new TextEncoder()
  it.each(vocabularies)("round-trip through $name", ({ tokenizer, spelled }) => {
    for (const text of strings) {
      const bytes = tokenizer.bytesOf(tokenizer.encode(text))
      if (Buffer.compare(bytes, utf8.encode(spelled(text))) !== 0) expect.fail(JSON.stringify(text))
    }
  })
})

/** All texts of ../shared/data: of .jsonl files every string of a line, of .txt files what stands between blank lines. */
const corpora = (root: string): ReadonlyArray<string> =>
  readdirSync(root, { recursive: true, encoding: "utf8" }).flatMap((name) => {
    if (!/\.(jsonl|txt)$/.test(name)) return []
    const content = readFileSync(join(root, name), "utf8")
    if (name.endsWith(".txt")) return content.split(/(?<=\n)\n+/)
    const texts = content.split("\n").filter(Boolean)
    return texts.flatMap((line) =>
      Object.values<unknown>(JSON.parse(line)).filter((value) => typeof value === "string")
    )
  })

const data = shared("data")
describe.skipIf(data.missing || !pythonHas("tokenizers"))("agreement with Python's tokenizers", () => {
  const texts = data.missing ? [] : corpora(data.path)
  const agree = (name: string, encode: (text: string) => Int32Array, path: string, own: ReadonlyArray<string>) => {
    const theirs = pythonIds(path, own, directory)
    let tokens = 0
    for (const [i, text] of own.entries()) {
      const ids = encode(text)
      tokens += ids.length
      if (ids.join(" ") !== theirs[i]) expect.fail(`${name}: ${JSON.stringify(text)}`)
    }
    process.stdout.write(`${name}: ${own.length} texts, ${tokens} tokens, all ids are those of Python's tokenizers\n`)
  }

  it.each(real())("on the texts of ../shared/data, in the vocabulary of $name", ({ name, tokenizer, path }) => {
    // stories260K cuts as stories15M does.
    const own = name.endsWith("stories260K") ? texts.filter((_, i) => i % 10 === 0) : texts
    agree(name, tokenizer.encode, path ?? "", own)
  })

  it.each(made)("on a part of them, in the small vocabulary $name", ({ name, tokenizer, json }) => {
    const path = join(directory, `${name}.json`)
    writeFileSync(path, json)
    const part = texts.filter((_, i) => i % 40 === 0)
    agree(name, tokenizer.encode, path, part)
  })
})

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "@effect/vitest"
import * as Tokenizer from "../../src/data/Tokenizer.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { makeMemoryDisk } from "../../src/testing/memoryDisk.ts"
import { shared } from "./shared.ts"

const directories = ["models/stories15M", "models/stories260K", "models/tokenizers/gpt2", "models/tokenizers/qwen2_5"]

for (const directory of directories) {
  const { path, missing } = shared(directory)
  describe.skipIf(missing)(`the tokenizer of ${directory}`, async () => {
    if (missing) return
    const tokenizer = await Effect.runPromise(Tokenizer.load(path))

    it("counts a lone surrogate as U+FFFD", () => {
      expect(tokenizer.encode("a\ud800b")).toEqual(tokenizer.encode("a\ufffdb"))
    })

    it("agrees with the library's decoder on every token that is whole UTF-8", () => {
      const file = (name: string) => JSON.parse(readFileSync(join(path, name), "utf8"))
      const library = new HuggingFaceTokenizer(file("tokenizer.json"), file("tokenizer_config.json"))
      const [anchor] = tokenizer.encode("a")
      const view = (ids: number[]) => library.decode(ids, { clean_up_tokenization_spaces: false })
      const before = view([anchor])
      const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      const size = tokenizer.vocabSize
      let compared = 0
      for (let id = 0; id < size; id += size > 100_000 ? 7 : 1) {
        let own: string
        try {
          own = strict.decode(tokenizer.bytes(id))
        } catch {
          continue // part of a character: the library has no answer
        }
        if (before + own !== view([anchor, id])) expect.fail(`token ${id} is ${JSON.stringify(own)}`)
        compared++
      }
      expect(compared).toBeGreaterThan(size / 10)
    })

    it("keeps the files as they were read", () => {
      for (const [name, content] of tokenizer.files) expect(content).toBe(readFileSync(join(path, name), "utf8"))
    })
  })
}

const stories = shared("models/stories260K")
describe.skipIf(stories.missing)("bos, eos, prefix and added tokens", () => {
  it("come from the two files", async () => {
    const tokenizer = await Effect.runPromise(Tokenizer.load(stories.path))
    expect([tokenizer.bos, tokenizer.eos, ...tokenizer.prefix]).toEqual([1, 2, 1])
    expect(tokenizer.tokenId("</s>")).toBe(2)
    expect(tokenizer.tokenId("<|think|>")).toBeUndefined()
    expect(tokenizer.text(tokenizer.encode("a<s>b"))).toBe(" a<s>b")
    expect(tokenizer.text(tokenizer.encodePrompt("a<s>b", "opens"))).toBe(" a<s> b")
    expect(tokenizer.bytes(tokenizer.tokenId("<0xE6>")!)).toEqual(Uint8Array.of(0xe6))
    expect(() => tokenizer.bytes(512)).toThrow("token id 512 is outside the vocabulary of 512 tokens")
  })
})

describe("a vocabulary made by hand", () => {
  const bytes = Array.from({ length: 256 }, (_, b) => [`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`, b + 8])
  const json = (tokens: ReadonlyArray<string>, merges: ReadonlyArray<readonly [string, string]>) =>
    JSON.stringify({
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "never", split: false },
      decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "never", split: false },
      model: {
        type: "BPE",
        byte_fallback: true,
        vocab: Object.fromEntries([...tokens.map((token, id) => [token, id]), ...bytes]),
        merges
      },
      added_tokens: [{ id: 270, content: "<|x|>", special: true }]
    })
  const build = (tokenizer: string) => Tokenizer.build({ name: "by hand", tokenizer, config: "{}" })

  it("gives an unassigned id bytes that are neither empty nor text", () => {
    const tokenizer = build(json(["a"], []))
    expect(tokenizer.vocabSize).toBe(271)
    expect(tokenizer.text([265, 270])).toBe("<unassigned 265><|x|>")
  })

  it("whose merges would make a control token or a byte of text spells the text", () => {
    const tokens = ["<", "|x|>", "<|x|>", "<0x4", "1>"]
    const tokenizer = build(
      json(tokens, [
        ["<", "|x|>"],
        ["<0x4", "1>"]
      ])
    )
    const text = "<|x|><0x41>"
    const ids = tokenizer.encode(text)
    expect(tokenizer.text(ids)).toBe(text)
    expect([...ids]).not.toContain(tokenizer.tokenId("<|x|>"))
    expect([...ids]).not.toContain(tokenizer.tokenId("<0x41>"))
    expect([...tokenizer.encodePrompt("<|x|>", "opens")]).toEqual([270])
  })

  it("takes a word of 100,000 letters without losing patience", () => {
    const tokenizer = build(
      json(
        ["a", "aa", "aaaa"],
        [
          ["a", "a"],
          ["aa", "aa"]
        ]
      )
    )
    expect(tokenizer.encode("a".repeat(100_001)).length).toBe(25_001)
  })
})

describe("an unusable tokenizer", () => {
  const failure = (tokenizer: string, config = "{}") =>
    Effect.runPromise(Effect.flip(Tokenizer.fromJson({ name: "bad", tokenizer, config }))).then((error) => {
      expect(error).toBeInstanceOf(Tokenizer.TokenizerError)
      return error.message
    })

  it("is one clear line", async () => {
    expect(await failure("{")).toBe("tokenizer.json: is not JSON")
    expect(await failure(`{"model":${"[".repeat(1e6)}`)).toBe("tokenizer.json: is nested deeper than 64 levels")
    expect(await failure("[]")).toBe("tokenizer.json: a JSON object was expected")
    expect(await failure("{}")).toBe("tokenizer.json: no tokenizer.json: an object with a `model` was expected")
    expect(await failure('{"model":{}}')).toBe("tokenizer.json: `model.vocab` is missing")
    expect(await failure('{"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":4294967295}}}')).toBe(
      'tokenizer.json: token "a" has the id 4294967295; of a vocabulary of this size, integers below 264 were expected'
    )
    expect(await failure('{"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":0}}}', "nonsense")).toMatch(
      /^tokenizer_config\.json: is not JSON$/
    )
  })

  it.effect(
    "is not read where it is larger than any tokenizer, and what is read comes from the disk that there is",
    () =>
      Effect.gen(function* () {
        const directory = mkdtempSync(join(tmpdir(), "foretoken-tokenizer-"))
        const file = join(directory, "tokenizer.json")
        writeFileSync(file, "")
        truncateSync(file, 2 ** 28 + 1) // takes no room
        expect((yield* Effect.flip(Tokenizer.load(directory))).message).toBe(
          `${file}: has 268435457 bytes; at most 268435456 are expected here`
        )
        rmSync(directory, { recursive: true })
        const disk = makeMemoryDisk()
        disk.put("/m/tokenizer.json", new TextEncoder().encode("[]"))
        const refused = yield* Effect.flip(Effect.provideService(Tokenizer.load("/m"), Disk, disk.boot()))
        expect(refused.message).toBe("/m/tokenizer.json: a JSON object was expected")
      })
  )

  const byteLevel = (changes: Readonly<Record<string, unknown>>, model: Readonly<Record<string, unknown>> = {}) =>
    JSON.stringify({
      decoder: { type: "ByteLevel" },
      model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [], ...model },
      ...changes
    })

  it.each([
    [{}, { type: "WordPiece" }, "the model is WordPiece; byte pairs (BPE) are supported"],
    [{}, { type: "Unigram", vocab: [["a", -1]] }, "the model is Unigram; byte pairs (BPE) are supported"],
    [{}, { merges: ["a b"] }, 'merge 0 needs the token "ab", which is not there'],
    [{}, { merges: ["a b c"] }, 'merge 0 is "a b c"; a pair of tokens was expected'],
    [{}, { merges: undefined }, "`model.merges` is missing"],
    [{}, { dropout: 0.1 }, "`model.dropout` is 0.1: the same text would be other tokens each time"],
    [
      {},
      { end_of_word_suffix: "</w>" },
      '`model.end_of_word_suffix` is "</w>"; only byte pairs without one are supported'
    ],
    [
      { normalizer: { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Lowercase" }] } },
      {},
      "the normalizer Lowercase would change the text; NFC, NFD, a space in front and ▁ for a space are supported"
    ],
    [
      { pre_tokenizer: { type: "Whitespace" } },
      {},
      "the pre-tokenizer Whitespace is not supported; ByteLevel, Digits, Metaspace and isolating Splits are"
    ],
    [
      { pre_tokenizer: { type: "Split", pattern: { String: " " }, behavior: "Removed" } },
      {},
      'the Split "Removed" is not supported; "Isolated" is'
    ],
    [
      { added_tokens: [{ id: 2, content: "c", special: false, lstrip: true }] },
      {},
      'the added token "c" strips white space beside it, which would lose text'
    ],
    [
      { added_tokens: [{ id: 2, content: "b", special: false }] },
      {},
      'the added token "b" has the id 2, but 1 in the vocabulary'
    ],
    [{ added_tokens: [{ content: "c", id: 9999 }] }, {}, /^token "c" has the id 9999; of a vocabulary of this size/]
  ])("%j %j is refused by name", async (changes, model, problem) => {
    const message = (await failure(byteLevel(changes, model))).replace("tokenizer.json: ", "")
    if (typeof problem === "string") expect(message).toBe(problem)
    else expect(message).toMatch(problem)
  })

  it("fails at a text that it cannot spell, and says where", async () => {
    const tokenizer = Tokenizer.build({ name: "ab", tokenizer: byteLevel({}), config: "{}" })
    expect(tokenizer.text(tokenizer.encode("abba"))).toBe("abba")
    expect(() => tokenizer.encode("abcab")).toThrow(
      'tokenizer.json: the vocabulary cannot spell the text from "cab" on'
    )
  })

  it("is named by its path where the directory holds none", async () => {
    const error = await Effect.runPromise(Effect.flip(Tokenizer.load("nowhere")))
    expect(error.message).toBe("nowhere/tokenizer.json: no such file; a Hugging Face model directory has one")
  })
})

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Tokenizer from "../../src/data/Tokenizer.ts"
import { shared } from "./shared.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)
const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }), // any code point
      fc.string({ unit: "grapheme" }), // emoji with joiners, combining marks
      fc.string({ unit: "binary-ascii" }), // control characters
      fc.constantFrom(
        " ",
        "  ",
        "\n\n",
        "日本",
        "e\u0301",
        "\u1112\u1161\u11ab",
        "▁",
        "\ufeff",
        "\u0085",
        "<0x41>",
        "Ġ"
      )
    ),
    { maxLength: 6 }
  )
  .map((parts) => parts.join(""))
const metaspace = (s: string) => (s === "" ? "" : ` ${s.replaceAll("▁", " ")}`)

/** Ids from the Rust library (Python `tokenizers` 0.23.3), no special tokens, of the two texts below. */
const texts = ["naïve café — 日本語 👩‍👩‍👧 e\u0301", "<0x41> literal"]
const cases = [
  {
    directory: "models/stories15M",
    normalise: metaspace,
    size: 32000,
    golden: [
      [
        1055, 30085, 345, 274, 28059, 813, 29871, 30325, 30346, 30968, 29871, 243, 162, 148, 172, 30722, 243, 162, 148,
        172, 30722, 243, 162, 148, 170, 321, 30103
      ],
      [529, 29900, 29916, 29946, 29896, 29958, 16333]
    ]
  },
  {
    directory: "models/stories260K",
    normalise: metaspace,
    size: 512,
    golden: [
      [
        297, 412, 198, 178, 360, 280, 412, 431, 485, 410, 481, 410, 233, 154, 168, 233, 159, 175, 235, 173, 161, 410,
        243, 162, 148, 172, 229, 131, 144, 243, 162, 148, 172, 229, 131, 144, 243, 162, 148, 170, 344, 207, 132
      ],
      [410, 504, 477, 444, 484, 475, 505, 278, 275, 285, 412, 421]
    ]
  },
  {
    directory: "models/tokenizers/gpt2",
    normalise: (s: string) => s,
    size: 50257,
    golden: [
      [
        2616, 38776, 40304, 851, 10545, 245, 98, 17312, 105, 45739, 252, 50169, 102, 447, 235, 41840, 102, 447, 235,
        41840, 100, 304, 136, 223
      ],
      [27, 15, 87, 3901, 29, 18875]
    ]
  },
  {
    directory: "models/tokenizers/qwen2_5",
    normalise: (s: string) => s.normalize("NFC"),
    size: 151665,
    golden: [
      [3376, 37572, 586, 51950, 1959, 75402, 21894, 102819, 61804, 102, 378, 235, 145233, 378, 235, 145665, 3958],
      [27, 15, 87, 19, 16, 29, 23141]
    ]
  }
]

for (const { directory, normalise, size, golden } of cases) {
  const { path, missing } = shared(directory)
  describe.skipIf(missing)(`the tokenizer of ${directory}`, async () => {
    if (missing) return
    const tokenizer = await Effect.runPromise(Tokenizer.load(path))

    it("gives the ids of the Rust library", () => {
      expect(tokenizer.vocabSize).toBe(size)
      expect(texts.map((text) => [...tokenizer.encode(text)])).toEqual(golden)
    })

    it("gives tokens whose bytes are the bytes of the normalised text", () => {
      fc.assert(
        fc.property(text, (text) => {
          expect(tokenizer.bytesOf(tokenizer.encode(text))).toEqual(utf8(normalise(text)))
        }),
        { numRuns: 300 }
      )
    })

    it("counts a lone surrogate as U+FFFD", () => {
      expect(tokenizer.bytesOf(tokenizer.encode("a\ud800b"))).toEqual(utf8(normalise("a\ufffdb")))
    })

    it("agrees with the library's decoder on every token that is whole UTF-8", () => {
      const file = (name: string) => JSON.parse(readFileSync(join(path, name), "utf8"))
      const library = new HuggingFaceTokenizer(file("tokenizer.json"), file("tokenizer_config.json"))
      const [anchor] = tokenizer.encode("a")
      const view = (ids: number[]) => library.decode(ids, { clean_up_tokenization_spaces: false })
      const before = view([anchor])
      const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
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
    expect(tokenizer.text(tokenizer.encode("a<s>b"))).toBe(" a<s> b")
    expect(tokenizer.bytes(tokenizer.tokenId("<0xE6>")!)).toEqual(Uint8Array.of(0xe6))
    expect(() => tokenizer.bytes(512)).toThrow("token id 512 is outside the vocabulary of 512 tokens")
  })
})

describe("a metaspace pre-tokenizer", () => {
  const json = (scheme: string) =>
    JSON.stringify({
      normalizer: null,
      pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false },
      post_processor: null,
      decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false },
      model: {
        type: "BPE",
        unk_token: null,
        byte_fallback: true,
        vocab: Object.fromEntries([
          ["▁", 0],
          ["▁a", 1],
          ...Array.from({ length: 256 }, (_, b) => [`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`, b + 2])
        ]),
        merges: [["▁", "a"]]
      },
      added_tokens: [{ id: 260, content: "<|x|>", special: true }]
    })

  for (const scheme of ["always", "first", "never"]) {
    it(`with prepend_scheme "${scheme}" keeps every byte behind the prefix it asks for`, () => {
      const tokenizer = Tokenizer.build({ name: scheme, tokenizer: json(scheme), config: "{}" })
      fc.assert(
        fc.property(text, (text) => {
          const spaced = text.replaceAll("▁", " ")
          const prefix = text === "" || scheme === "never" || spaced.startsWith(" ") ? "" : " "
          expect(tokenizer.bytesOf(tokenizer.encode(text))).toEqual(utf8(prefix + spaced))
        })
      )
    })
  }

  it("gives an unassigned id bytes that are neither empty nor text", () => {
    const tokenizer = Tokenizer.build({ name: "holes", tokenizer: json("never"), config: "{}" })
    expect(tokenizer.vocabSize).toBe(261)
    expect(tokenizer.text([259])).toBe("<unassigned 259>")
  })
})

describe("an unusable tokenizer", () => {
  const failure = (tokenizer: string, config = "{}") =>
    Effect.runPromise(Effect.flip(Tokenizer.fromJson({ name: "bad", tokenizer, config }))).then((error) => {
      expect(error).toBeInstanceOf(Tokenizer.TokenizerError)
      return error.message
    })

  it("is one clear line", async () => {
    expect(await failure("{")).toMatch(/^tokenizer\.json: no JSON: .+$/)
    expect(await failure("[]")).toBe("tokenizer.json: a JSON object was expected")
    expect(await failure("{}")).toBe("tokenizer.json: no tokenizer.json: an object with a `model` was expected")
    expect(await failure('{"model":{}}')).toBe("tokenizer.json: `model.vocab` is missing")
    expect(await failure('{"model":{"type":"WordPiece","vocab":{"a":0}},"decoder":{"type":"WordPiece"}}')).toMatch(
      /^tokenizer\.json: WordPiece with the decoder WordPiece: how its tokens turn into bytes is not known/
    )
    expect(await failure('{"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":4294967295}}}')).toBe(
      'tokenizer.json: token "a" has the id 4294967295; ids are integers from 0 to 16777215'
    )
    expect(await failure('{"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":0}}}', "nonsense")).toMatch(
      /^tokenizer_config\.json: no JSON/
    )
  })

  it("is named by its path where the directory holds none", async () => {
    const error = await Effect.runPromise(Effect.flip(Tokenizer.load("nowhere")))
    expect(error.message).toBe("nowhere/tokenizer.json: no such file; a Hugging Face model directory has one")
  })
})

import * as fc from "fast-check"
import { utf8 } from "../../prompt/bytes.ts"
import { byteTokens, type TokenTable } from "./tokenTable.ts"

/**
 * What the longer tokens of a vocabulary may be, and how its tokenizer.json spells them.
 *
 * - byte-level (GPT-2, Qwen): any bytes, so a token may end inside a character; one printable character per byte
 * - byte-fallback: whole characters as they are, single bytes as `<0xNN>`
 * - metaspace (Llama): like byte-fallback, a blank is `▁`
 * - adversarial: byte-level, and most tokens cut characters, meet at markers or are no text at all
 */
export type VocabularyKind = "byte-level" | "byte-fallback" | "metaspace" | "adversarial"

export const vocabularyKinds: ReadonlyArray<VocabularyKind> = [
  "byte-level",
  "byte-fallback",
  "metaspace",
  "adversarial"
]

export interface Vocabulary {
  readonly kind: VocabularyKind
  /** What every token stands for: the single bytes and up to 24 longer tokens. */
  readonly table: TokenTable
  /** The parsed tokenizer.json that spells this table. */
  readonly json: unknown
}

/** A vocabulary of the given kind, or of any. */
export const vocabulary = (...kinds: ReadonlyArray<VocabularyKind>): fc.Arbitrary<Vocabulary> =>
  fc.oneof(
    { withCrossShrink: true },
    ...(kinds.length === 0 ? vocabularyKinds : kinds).map((kind) =>
      fc
        .uniqueArray(longerToken[kind], { selector: String, minLength: 1, maxLength: 24 })
        .map((longer) => ({ kind, table: [...byteTokens, ...longer], json: tokenizerJson(kind, longer) }))
    )
  )

/** One of `values`; a counterexample shrinks towards the front, one by one. */
export const towardsFirst = <A>(values: ReadonlyArray<A>): fc.Arbitrary<A> =>
  fc.nat(values.length - 1).map((i) => values[i])

/**
 * Tokens of whole characters that reward code has been caught by: blanks, capitals, literal escapes, composed and
 * decomposed letters, ligatures, braces, markers.
 */
const wholeTokens: TokenTable = [
  "ab",
  " a",
  " the",
  "The",
  "ABC",
  "12",
  "ba ",
  "\\n",
  "\n\n",
  "é",
  "e\u0301",
  "É",
  "ﬁ",
  "日本",
  "🙂",
  "  ",
  "{}",
  "\\{",
  "\\frac{1}{2}",
  "\\boxed",
  "\\boxed{",
  "</think>",
  "<|end|>"
].map(utf8)

/** Tokens that end or begin inside a character: é is c3 a9, 日 is e6 97 a5, 🙂 is f0 9f 99 82. */
const cutTokens: TokenTable = [
  [0x61, 0xc3],
  [0xa9, 0x61],
  [0x20, 0xe6],
  [0x97, 0xa5],
  [0xf0, 0x9f],
  [0x99, 0x82],
  [0xa9, 0xc3]
].map((bytes) => Uint8Array.from(bytes))

/** What a byte-fallback vocabulary has beside `<0xNN>`: the same byte as text is another token. */
const textTokens: TokenTable = [...wholeTokens, ...["a", " ", "\n", "{", "}", "\\"].map(utf8)]

const longerToken: Readonly<Record<VocabularyKind, fc.Arbitrary<Uint8Array>>> = {
  "byte-level": fc.oneof({ weight: 3, arbitrary: towardsFirst(wholeTokens) }, towardsFirst(cutTokens)),
  "byte-fallback": towardsFirst(textTokens),
  metaspace: towardsFirst(textTokens),
  adversarial: fc.oneof(
    { weight: 3, arbitrary: towardsFirst(cutTokens) },
    { weight: 2, arbitrary: towardsFirst(wholeTokens) },
    fc.uint8Array({ minLength: 2, maxLength: 6 })
  )
}

const tokenizerJson = (kind: VocabularyKind, longer: TokenTable): unknown => {
  const text = (token: Uint8Array) => new TextDecoder().decode(token)
  const hex = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`
  const spellings = {
    "byte-level": (token: Uint8Array) => Array.from(token, (byte) => printable[byte]).join(""),
    adversarial: (token: Uint8Array) => Array.from(token, (byte) => printable[byte]).join(""),
    "byte-fallback": text,
    metaspace: (token: Uint8Array) => text(token).replaceAll(" ", "▁")
  }
  const byteLevel = kind === "byte-level" || kind === "adversarial"
  const spelled = byteTokens.map((token) => (byteLevel ? printable[token[0]] : hex(token[0])))
  const vocab = Object.fromEntries([...spelled, ...longer.map(spellings[kind])].map((token, id) => [token, id]))
  const replace = { type: "Replace", pattern: { String: "▁" }, content: " " }
  return {
    model: { type: "BPE", byte_fallback: !byteLevel, vocab },
    decoder: byteLevel
      ? { type: "ByteLevel" }
      : { type: "Sequence", decoders: [...(kind === "metaspace" ? [replace] : []), { type: "ByteFallback" }] }
  }
}

/** GPT-2's alphabet: each byte that prints stands for itself, the others are U+0100 onwards. */
const printable: ReadonlyArray<string> = (() => {
  const prints = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
  const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !prints(byte))
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(prints(byte) ? byte : 0x100 + others.indexOf(byte))
  )
})()

/** The table of a vocabulary of any kind. No token is of zero bytes. */
export const tokenTable: fc.Arbitrary<TokenTable> = vocabulary().map(({ table }) => table)

/**
 * Vocabularies as GGUF files and llama2.c keep them, as the tokenizer.json and tokenizer_config.json of the same tokenizer.
 * Ids are places in `tokens`.
 */
import { Predicate } from "effect"
import { quote, refuse } from "./refusal.ts"

/** normal, unknown, control, byte: as SentencePiece has them. added: recognised before the text is cut; unused: never made. */
export type TokenKind = "normal" | "unknown" | "control" | "added" | "unused" | "byte"

export interface Vocabulary {
  readonly tokens: ReadonlyArray<string>
  readonly kinds: ReadonlyArray<TokenKind>
  readonly bos: number | undefined
  readonly eos: number | undefined
  readonly unknown: number | undefined
  readonly padding: number | undefined
  /** The tokenizer puts bos in front of a text of its own accord. */
  readonly addBos: boolean
  readonly addEos: boolean
  readonly chatTemplate: string | undefined
}

/** How a text is cut before its bytes are merged, by llama.cpp's name for it. */
interface Cutting {
  readonly normalizer: object | null
  readonly preTokenizer: object
  /** A piece that is a token as it stands is not put together from merges. */
  readonly ignoreMerges: boolean
}

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
const rest = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const byteLevel = (useRegex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex
})

const split = (pattern: string) => ({
  type: "Sequence",
  pretokenizers: [{ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false }, byteLevel(false)]
})

const gpt2: Cutting = { normalizer: null, preTokenizer: byteLevel(true), ignoreMerges: false }
const llama3: Cutting = {
  normalizer: null,
  preTokenizer: split(`${contractions}\\p{N}{1,3}${rest}`),
  ignoreMerges: true
}
const qwen2: Cutting = {
  normalizer: { type: "NFC" },
  preTokenizer: split(`${contractions}\\p{N}${rest}`),
  ignoreMerges: false
}
const smollm: Cutting = {
  normalizer: null,
  preTokenizer: {
    type: "Sequence",
    pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel(true)]
  },
  ignoreMerges: false
}

const cuttings: Readonly<Record<string, Cutting>> = {
  "gpt-2": gpt2,
  "llama-bpe": llama3,
  "llama-v3": llama3,
  llama3,
  qwen2,
  "deepseek-r1-qwen": qwen2,
  smollm
}

/** llama.cpp's name for how the tokenizer of a tokenizer.json cuts a text, if it merges bytes and cuts as one of these. */
export const preTokenizerName = (json: { readonly [part: string]: unknown }): string | undefined => {
  const cut = essence(json["pre_tokenizer"])
  const known = Object.entries(cuttings).find(([, { preTokenizer }]) => essence(preTokenizer) === cut)
  return known?.[0]
}

/** What of a pre-tokenizer decides where it cuts, in one order of keys. */
const essence = (preTokenizer: unknown): string =>
  JSON.stringify(preTokenizer ?? null, (key, value: unknown) => {
    if (key === "trim_offsets") return undefined
    if (!Predicate.isObject(value)) return value
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })

/** Merges over bytes, each a character of GPT-2's alphabet. `pre` is llama.cpp's name for how a text is cut. */
export const byteLevelFiles = (
  vocabulary: Vocabulary,
  merges: ReadonlyArray<string>,
  pre: string
): Readonly<Record<string, string>> => {
  const cutting = Object.hasOwn(cuttings, pre) ? cuttings[pre] : undefined
  if (cutting === undefined) {
    const known = Object.keys(cuttings).join(", ")
    return refuse(`the pre-tokenizer ${quote(pre)} is not supported; ${known} are`)
  }
  const model = {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: "",
    end_of_word_suffix: "",
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: cutting.ignoreMerges,
    vocab: vocabOf(vocabulary),
    merges: merges.map(mergeOf)
  }
  return filesOf(vocabulary, {
    normalizer: cutting.normalizer,
    pre_tokenizer: cutting.preTokenizer,
    post_processor: postProcessorOf(vocabulary, byteLevel(false)),
    decoder: byteLevel(false),
    model
  })
}

const mergeOf = (merge: string): readonly [string, string] => {
  const parts = merge.split(" ")
  return parts.length === 2 ? [parts[0], parts[1]] : refuse(`the merge ${quote(merge)} is no pair`)
}

/**
 * SentencePiece's BPE: the pair whose token has the highest score is merged first. As merges that is: all ways to cut a token
 * into two, the tokens by falling score. What no token spells falls back to bytes.
 */
export const scoredFiles = (
  vocabulary: Vocabulary,
  scores: ArrayLike<number>,
  addPrefixSpace: boolean
): Readonly<Record<string, string>> => {
  const { tokens, unknown } = vocabulary
  const space = { type: "Replace", pattern: { String: " " }, content: "▁" }
  const model = {
    type: "BPE",
    dropout: null,
    unk_token: unknown === undefined ? null : tokens[unknown],
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab: vocabOf(vocabulary),
    merges: mergesOf(vocabulary, scores)
  }
  return filesOf(vocabulary, {
    normalizer: addPrefixSpace ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, space] } : space,
    pre_tokenizer: null,
    post_processor: postProcessorOf(vocabulary, null),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(addPrefixSpace ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : [])
      ]
    },
    model
  })
}

/** SentencePiece learns none of more than 16 characters; to cut one costs the square of its length. */
const longestToken = 256

const mergesOf = (
  { tokens, kinds }: Vocabulary,
  scores: ArrayLike<number>
): ReadonlyArray<readonly [string, string]> => {
  const ids = new Map(tokens.flatMap((token, id) => (kinds[id] === "normal" ? [[token, id]] : [])))
  const found: Array<Cut> = []
  for (const [token, id] of ids) {
    if (token.length > longestToken) {
      refuse(`token ${id} has ${token.length} characters; at most ${longestToken} are expected`)
    }
    const cuts: Array<Cut> = []
    for (let at = 1; at < token.length; at++) {
      const left = ids.get(token.slice(0, at))
      const right = left === undefined ? undefined : ids.get(token.slice(at))
      if (left !== undefined && right !== undefined) cuts.push({ left, right, score: scores[id] })
    }
    found.push(...cuts.toSorted((a, b) => a.left - b.left || a.right - b.right))
  }
  // Sorting is stable. The order among equal scores, and among the cuts of a token, is that of transformers' converter.
  return found.toSorted((a, b) => b.score - a.score).map(({ left, right }) => [tokens[left], tokens[right]])
}

/** Two tokens that make one of that score. */
interface Cut {
  readonly left: number
  readonly right: number
  readonly score: number
}

/** Tokens that text can turn into; added ones are listed apart, unused ones have no name that could be met. */
const vocabOf = ({ tokens, kinds }: Vocabulary): Readonly<Record<string, number>> =>
  Object.fromEntries(tokens.flatMap((token, id) => (isAdded(kinds[id]) || kinds[id] === "unused" ? [] : [[token, id]])))

const isAdded = (kind: TokenKind): boolean => kind === "control" || kind === "added"

const postProcessorOf = ({ tokens, bos, addBos }: Vocabulary, otherwise: object | null): object | null => {
  if (!addBos || bos === undefined) return otherwise
  const content = tokens[bos]
  const special = { SpecialToken: { id: content, type_id: 0 } }
  const sequence = (id: "A" | "B") => ({ Sequence: { id, type_id: 0 } })
  return {
    type: "TemplateProcessing",
    single: [special, sequence("A")],
    pair: [special, sequence("A"), special, sequence("B")],
    special_tokens: { [content]: { id: content, ids: [bos], tokens: [content] } }
  }
}

const filesOf = (vocabulary: Vocabulary, parts: object): Readonly<Record<string, string>> => {
  const { tokens, kinds } = vocabulary
  const added = tokens.flatMap((content, id) => {
    const kind = kinds[id]
    if (!isAdded(kind) && kind !== "unknown") return []
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: kind !== "added" }
    return [{ id, content, ...flags }]
  })
  const json = { version: "1.0", truncation: null, padding: null, added_tokens: added, ...parts }
  return { "tokenizer.json": JSON.stringify(json), "tokenizer_config.json": configText(vocabulary) }
}

/** tokenizer_config.json: what the tokens at its ends are, and the chat template. */
export const configText = (vocabulary: Vocabulary): string => {
  const { tokens, bos, eos, unknown, padding, addBos, addEos, chatTemplate } = vocabulary
  const named = (id: number | undefined) => (id === undefined ? null : tokens[id])
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: named(bos),
    eos_token: named(eos),
    unk_token: named(unknown),
    pad_token: named(padding),
    add_bos_token: addBos,
    add_eos_token: addEos,
    clean_up_tokenization_spaces: false,
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate })
  }
  return `${JSON.stringify(config, undefined, 2)}\n`
}

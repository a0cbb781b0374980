/** The tokenizer that a GGUF file carries. */
import { quote, refuse } from "../refusal.ts"
import { byteLevelFiles, configText, scoredFiles } from "../vocabulary.ts"
import type { TokenKind, Vocabulary } from "../vocabulary.ts"
import { entriesOf } from "./Entries.ts"
import type { Entries } from "./Entries.ts"
import type { Metadata } from "./header.ts"

/** Its files by name; none where the file carries no tokenizer. Refuses (see refusal.ts) one that is not known here. */
export const tokenizerFilesOf = (metadata: Metadata): Readonly<Record<string, string>> => {
  const entries = entriesOf(metadata)
  // The whole tokenizer.json, where it was put into the file too, is the original itself.
  const original = entries.text("tokenizer.huggingface.json")
  const tokens = entries.texts("tokenizer.ggml.tokens")
  const model = entries.text("tokenizer.ggml.model") ?? "none"
  if (tokens === undefined || model === "none") return original === undefined ? {} : { "tokenizer.json": original }
  const vocabulary = vocabularyOf(entries, tokens, model)
  return original === undefined
    ? scoredOrMerged(entries, vocabulary, model)
    : { "tokenizer.json": original, "tokenizer_config.json": configText(vocabulary) }
}

const scoredOrMerged = (entries: Entries, vocabulary: Vocabulary, model: string): Readonly<Record<string, string>> => {
  const { tokens } = vocabulary
  if (model === "llama") {
    const scores = entries.numbers("tokenizer.ggml.scores") ?? refuse("has no tokenizer.ggml.scores")
    if (scores.length !== tokens.length) refuse(`has ${tokens.length} tokens and ${scores.length} scores`)
    return scoredFiles(vocabulary, scores, entries.flag("tokenizer.ggml.add_space_prefix") ?? true)
  }
  if (model === "gpt2") {
    const merges = entries.texts("tokenizer.ggml.merges") ?? refuse("has no tokenizer.ggml.merges")
    return byteLevelFiles(vocabulary, merges, preOf(entries))
  }
  return refuse(`the tokenizer ${quote(model)} is not supported; llama and gpt2 are`)
}

/** Files from before there was such a key: only GPT-2's own can be told. */
const preOf = (entries: Entries): string => {
  const pre = entries.text("tokenizer.ggml.pre")
  if (pre !== undefined && pre !== "default") return pre
  return entries.text("general.architecture") === "gpt2" ? "gpt-2" : (pre ?? refuse("has no tokenizer.ggml.pre"))
}

const vocabularyOf = (entries: Entries, tokens: ReadonlyArray<string>, model: string): Vocabulary => {
  const types = entries.numbers("tokenizer.ggml.token_type")
  if (types !== undefined && types.length !== tokens.length) {
    refuse(`has ${tokens.length} tokens and ${types.length} token types`)
  }
  const idAt = (key: string): number | undefined => {
    const id = entries.number(`tokenizer.ggml.${key}_token_id`)
    if (id === undefined || (Number.isInteger(id) && id >= 0 && id < tokens.length)) return id
    return refuse(`tokenizer.ggml.${key}_token_id ${id} lies outside the vocabulary of ${tokens.length}`)
  }
  const isScored = model === "llama"
  return {
    tokens,
    kinds: tokens.map((_, id) => (types === undefined ? "normal" : kindOf(types[id], id))),
    bos: idAt("bos"),
    eos: idAt("eos"),
    unknown: idAt("unknown") ?? (isScored ? 0 : undefined),
    padding: idAt("padding"),
    addBos:
      entries.flag("tokenizer.ggml.add_bos_token") ?? (isScored || entries.text("tokenizer.ggml.pre") === "llama-bpe"),
    addEos: entries.flag("tokenizer.ggml.add_eos_token") ?? false,
    chatTemplate: entries.text("tokenizer.chat_template")
  }
}

/** llama.cpp's numbers for kinds of tokens, from 1. */
const kinds: ReadonlyArray<TokenKind> = ["normal", "unknown", "control", "added", "unused", "byte"]

const kindOf = (type: number, id: number): TokenKind =>
  kinds[type - 1] ?? refuse(`token ${id} has the unknown type ${type}`)

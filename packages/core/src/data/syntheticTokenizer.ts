/**
 * The tokenizer of the generated corpus: a genuine tokenizer.json, one token a word. Byte-level BPE without merges, where
 * `ignore_merges` takes each word that GPT-2's pattern cuts out straight from the vocabulary; so transformers, tokenizers
 * and tokenizers.js all load it, and words carry their leading space as in GPT-2. Anything else is <unk>.
 */
import { words } from "./syntheticKinds.ts"
import { build } from "./Tokenizer.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** Ids 0 to 4, in this order. `<|think|>` and `</think>` enclose a thought, `<|end|>` closes an answer. */
export const specialTokens = ["<unk>", "<|bos|>", "<|end|>", "<|think|>", "</think>"] as const

const vocabulary = [...specialTokens, ...words.map((word) => word.replace(" ", "Ġ"))]
const bos = "<|bos|>"

const tokenizerJson = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: specialTokens.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true
  })),
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [
      { SpecialToken: { id: bos, type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { Sequence: { id: "B", type_id: 0 } }
    ],
    special_tokens: { [bos]: { id: bos, ids: [1], tokens: [bos] } }
  },
  decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "<unk>",
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: true,
    vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
    merges: []
  }
}

const tokenizerConfig = {
  tokenizer_class: "PreTrainedTokenizerFast",
  bos_token: bos,
  eos_token: "<|end|>",
  unk_token: "<unk>",
  clean_up_tokenization_spaces: false,
  model_max_length: 1024
}

/** The tokenizer of the generated corpus, the same every time. */
export const tokenizer: Tokenizer = build({
  name: "dials",
  tokenizer: JSON.stringify(tokenizerJson, null, 1),
  config: JSON.stringify(tokenizerConfig, null, 1)
})

const ids = new Map([...specialTokens, ...words].map((word, id) => [word, id]))

/** The ids of words with their leading spaces. Throws RangeError on a word that the corpus does not have. */
export function idsOf(all: ReadonlyArray<string>): Int32Array {
  return Int32Array.from(all, (word) => {
    const id = ids.get(word)
    if (id === undefined) throw new RangeError(`${JSON.stringify(word)} is no word of the generated corpus`)
    return id
  })
}

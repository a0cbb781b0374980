/** A tokenizer.json -> the metadata by which llama.cpp spells, and the whole of it, by which it is read back as it was. */
import { Predicate, Result } from "effect"
import { parseJson } from "../../storage/boundedJson.ts"
import { refuse } from "../refusal.ts"
import type { Entries } from "./metadata.ts"
import type { Entry } from "./encode.ts"
import type { TokenizerFiles } from "../ModelDirectory.ts"
import { preTokenizerName } from "../vocabulary.ts"

type Json = Readonly<Record<string, unknown>>

const text = (value: string): Entry => ({ _tag: "text", value })

/** None where there is no tokenizer.json. `size` is that of the embedding: the file names as many tokens. */
export const vocabularyMetadata = (files: TokenizerFiles, size: number): Entries => {
  const source = textOf(files, "tokenizer.json")
  if (source === undefined) return []
  const config = jsonOf(textOf(files, "tokenizer_config.json") ?? "{}", "tokenizer_config.json")
  const template = textOf(files, "chat_template.jinja") ?? config["chat_template"]
  return [
    ...llamaCpp(jsonOf(source, "tokenizer.json"), config, size),
    ...(typeof template === "string" ? [["tokenizer.chat_template", text(template)] as const] : []),
    ["tokenizer.huggingface.json", text(source)]
  ]
}

const textOf = (files: TokenizerFiles, name: string): string | undefined =>
  Object.hasOwn(files, name) ? new TextDecoder().decode(files[name]) : undefined

const jsonOf = (source: string, name: string): Json => {
  const parsed = parseJson(source)
  return Result.isSuccess(parsed) ? objectOf(parsed.success) : refuse(`${name} ${parsed.failure}`)
}
// Whatever is no object has no keys.
const objectOf = (value: unknown): Json => (Predicate.isObject(value) ? { ...value } : {})

/** As llama.cpp has it: two kinds of vocabularies. Of another kind it is told that there is none. */
const llamaCpp = (json: Json, config: Json, size: number): Entries => {
  const model = objectOf(json["model"])
  const pre = preTokenizerName(json)
  const merges = mergesOf(model)
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`)
  const types = Array.from<unknown, number>({ length: size }, () => kind.unused)
  const put = (content: string, id: unknown, type: number) => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= size) return
    tokens[id] = content
    types[id] = type
  }
  for (const [content, id] of Object.entries(objectOf(model["vocab"]))) {
    put(content, id, /^<0x[0-9A-F]{2}>$/.test(content) && model["byte_fallback"] === true ? kind.byte : kind.normal)
  }
  for (const added of Array.isArray(json["added_tokens"]) ? json["added_tokens"].map(objectOf) : []) {
    if (typeof added["content"] !== "string") continue
    const isUnknown = added["content"] === model["unk_token"]
    put(added["content"], added["id"], isUnknown ? kind.unknown : added["special"] === true ? kind.control : kind.added)
  }
  const common: Entries = [
    ["tokenizer.ggml.tokens", { _tag: "texts", value: tokens }],
    ["tokenizer.ggml.token_type", { _tag: "i32s", value: types }],
    ["tokenizer.ggml.add_bos_token", { _tag: "flag", value: startsWithBos(json["post_processor"]) }],
    ["tokenizer.ggml.add_eos_token", { _tag: "flag", value: config["add_eos_token"] === true }]
  ]
  if (pre !== undefined) {
    return [
      ["tokenizer.ggml.model", text("gpt2")],
      ["tokenizer.ggml.pre", text(pre)],
      ["tokenizer.ggml.merges", { _tag: "texts", value: merges.map((pair) => pair.join(" ")) }],
      ...common
    ]
  }
  if (model["type"] === "BPE" && model["byte_fallback"] === true) {
    const scores: Entry = { _tag: "f32s", value: scoresOf(tokens, merges) }
    const adds: Entry = { _tag: "flag", value: JSON.stringify(json["normalizer"] ?? null).includes('"Prepend"') }
    return [
      ["tokenizer.ggml.model", text("llama")],
      ["tokenizer.ggml.pre", text("default")],
      ["tokenizer.ggml.scores", scores],
      ["tokenizer.ggml.add_space_prefix", adds],
      ...common
    ]
  }
  return [["tokenizer.ggml.model", text("none")]]
}

/** A template that puts a special token in front of a text; it may stand among other steps. */
const startsWithBos = (step: unknown): boolean => {
  const { processors, single } = objectOf(step)
  if (Array.isArray(processors)) return processors.some(startsWithBos)
  return Array.isArray(single) && "SpecialToken" in objectOf(single[0])
}

/** llama.cpp's numbers. */
const kind = { normal: 1, unknown: 2, control: 3, added: 4, unused: 5, byte: 6 } as const

/** Pairs, which newer files have as lists and older ones as one text. */
const mergesOf = (model: Json): ReadonlyArray<readonly [string, string]> =>
  (Array.isArray(model["merges"]) ? model["merges"] : []).flatMap((merge: unknown) => {
    const pair = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge.map(String) : []
    return pair.length === 2 ? [[pair[0], pair[1]] as const] : []
  })

/** The earlier a token is merged, the higher its score. */
const scoresOf = (
  tokens: ReadonlyArray<string>,
  merges: ReadonlyArray<readonly [string, string]>
): ReadonlyArray<number> => {
  const ranks = new Map<string, number>()
  for (const [left, right] of merges) {
    const token = left + right
    if (!ranks.has(token)) ranks.set(token, ranks.size)
  }
  return tokens.map((token) => -(ranks.get(token) ?? ranks.size))
}

/**
 * What of a tokenizer.json is used, and for what. Whatever would lose text, or would be cut otherwise than the Rust
 * library cuts it, is refused by name. The rest is told apart into
 *
 * - what `@huggingface/tokenizers` does: cutting text by patterns, and merging the pieces (`engine`). It is given its part
 *   in words that it reads as the Rust library does: its own `Digits` are ASCII only, its `ByteLevel` pattern takes U+FEFF
 *   for white space, its `Metaspace` never splits, and it knows no `single_word`;
 * - what this house does, because bytes hang on it: normal forms, the space in front, added tokens, the ids in front.
 */
import { isRecord, quote, TokenizerError } from "./tokenBytes.ts"

export interface AddedToken {
  readonly id: number
  readonly content: string
  /** Control tokens such as `<|im_end|>`: text never turns into them. */
  readonly special: boolean
  /** Looked for behind the normal form, not before it. */
  readonly normalized: boolean
  /** It takes white space beside it along in the Rust library. */
  readonly strips: boolean
}

/** How a text is respelled before it is cut. */
export interface Spelling {
  readonly form: "NFC" | "NFD" | undefined
  /** What stands for a space inside of tokens: `▁`, or the space itself. */
  readonly space: string
  readonly prefix: Prefix
}

/** The space that is put in front: of the first piece, or of each piece behind an added token too. */
export interface Prefix {
  readonly scheme: "never" | "first" | "always"
  /** It is left out where one is there already. */
  readonly onlyIfMissing: boolean
}

export interface TokenizerJson {
  readonly engine: Readonly<Record<string, unknown>>
  readonly spelling: Spelling
  readonly added: ReadonlyArray<AddedToken>
  /** What stands for characters that have no token. Of documents they are an error. */
  readonly unknown: number | undefined
  /** Ids by content, added tokens too. */
  readonly ids: ReadonlyMap<string, number>
  /** What stands in front of a text of the tokenizer's own accord: ids from the post-processor. */
  readonly prefix: ReadonlyArray<number>
}

type Json = Readonly<Record<string, unknown>>
type Fail = (problem: string) => never

/** Throws TokenizerError under the name `file`. */
export function readTokenizerJson(json: Json, file: string): TokenizerJson {
  const fail: Fail = (problem) => {
    throw new TokenizerError({ file, problem })
  }
  const model = isRecord(json.model) ? json.model : fail("`model` is missing")
  const vocab = vocabularyOf(model, fail)
  const merges = mergesOf(model, vocab, fail)
  const added = addedTokens(json.added_tokens, fail)
  const normalizers = listOf(json.normalizer, "normalizers", fail)
  const cutters = listOf(json.pre_tokenizer, "pretokenizers", fail)
  const spelling = spellingOf(normalizers, cutters, fail)
  for (const { content, special, normalized, strips } of added) {
    if (!special && strips)
      fail(`the added token ${quote(content)} strips white space beside it, which would lose text`)
    if (!special && normalized && spelling.space !== " ") {
      fail(
        `the added token ${quote(content)} is "normalized" under ${spelling.space}, which is not supported; false is`
      )
    }
  }
  // Text never turns into a control token, neither by merges nor as a whole word of the vocabulary, and the six characters
  // `<0x41>` not into the byte that a token of this name stands for.
  const special = new Set(added.filter((token) => token.special).map(({ content }) => content))
  const unknown = typeof model.unk_token === "string" && vocab.has(model.unk_token) ? model.unk_token : undefined
  const plain = [...vocab].filter(([token]) => !special.has(token) || token === unknown)
  const hasFallback = model.byte_fallback === true
  const isText = (token: string) => !special.has(token) && !(hasFallback && byteToken.test(token))
  const mergeable = merges.filter(([a, b]) => isText(a) && isText(b) && isText(a + b))
  return {
    engine: {
      normalizer: null,
      pre_tokenizer: cuts(cutters, spelling.space, fail),
      post_processor: null,
      decoder: null,
      added_tokens: [],
      model: {
        type: "BPE",
        unk_token: unknown ?? null,
        fuse_unk: model.fuse_unk === true,
        byte_fallback: hasFallback,
        ignore_merges: model.ignore_merges === true,
        vocab: Object.fromEntries(plain),
        merges: mergeable
      }
    },
    spelling,
    added,
    unknown: unknown === undefined ? undefined : vocab.get(unknown),
    ids: new Map([...vocab, ...added.map(({ content, id }) => [content, id] as const)]),
    prefix: prefixOf(json.post_processor, fail)
  }
}

const byteToken = /^<0x[0-9A-Fa-f]{2}>$/

/** Byte pairs only: they are what the families use, and the one model in which a text is its tokens' bytes. */
function vocabularyOf(model: Json, fail: Fail): ReadonlyMap<string, number> {
  if (!isRecord(model.vocab)) return fail(Array.isArray(model.vocab) ? refusal(model) : "`model.vocab` is missing")
  const type = model.type ?? (Array.isArray(model.merges) ? "BPE" : undefined)
  if (type !== "BPE") return fail(refusal(model))
  for (const option of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[option] !== undefined && model[option] !== null && model[option] !== "") {
      return fail(`\`model.${option}\` is ${quote(model[option])}; only byte pairs without one are supported`)
    }
  }
  if (model.dropout !== undefined && model.dropout !== null && model.dropout !== 0) {
    return fail(`\`model.dropout\` is ${quote(model.dropout)}: the same text would be other tokens each time`)
  }
  return new Map(
    Object.entries(model.vocab).map(([token, id]) => [
      token,
      typeof id === "number" ? id : fail(`token ${quote(token)} has the id ${quote(id)}; an integer was expected`)
    ])
  )
}

const refusal = (model: Json) =>
  `the model is ${typeof model.type === "string" ? model.type : "of no type"}; byte pairs (BPE) are supported`

/** Pairs, or in older files one string with a space between. Both parts and what they give are in the vocabulary. */
function mergesOf(model: Json, vocab: ReadonlyMap<string, number>, fail: Fail): ReadonlyArray<[string, string]> {
  if (!Array.isArray(model.merges)) return fail("`model.merges` is missing")
  const entries: ReadonlyArray<unknown> = model.merges
  return entries.map((entry, rank) => {
    const parts: ReadonlyArray<unknown> =
      typeof entry === "string" ? entry.split(" ") : Array.isArray(entry) ? entry : []
    const [a, b] = parts
    if (parts.length !== 2 || typeof a !== "string" || typeof b !== "string") {
      return fail(`merge ${rank} is ${quote(entry)}; a pair of tokens was expected`)
    }
    const missing = [a, b, a + b].find((token) => !vocab.has(token))
    return missing === undefined ? [a, b] : fail(`merge ${rank} needs the token ${quote(missing)}, which is not there`)
  })
}

function addedTokens(value: unknown, fail: Fail): ReadonlyArray<AddedToken> {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) return fail("`added_tokens` is no list")
  const entries: ReadonlyArray<unknown> = value
  return entries.map((entry) => {
    if (!isRecord(entry) || typeof entry.content !== "string" || entry.content === "") {
      return fail("an added token without `content`")
    }
    const { content, id } = entry
    if (typeof id !== "number") return fail(`the added token ${quote(content)} has no id`)
    const special = entry.special === true
    return {
      id,
      content,
      special,
      normalized: entry.normalized === undefined ? !special : entry.normalized === true,
      strips: entry.lstrip === true || entry.rstrip === true || entry.single_word === true
    }
  })
}

function spellingOf(normalizers: ReadonlyArray<Json>, cutters: ReadonlyArray<Json>, fail: Fail): Spelling {
  let form: Spelling["form"]
  let space = " "
  let prefix: Prefix = { scheme: "never", onlyIfMissing: true }
  for (const step of normalizers) {
    if (step.type === "NFC" || step.type === "NFD") {
      form = step.type
    } else if (step.type === "Prepend" && (step.prepend === "▁" || step.prepend === " ")) {
      prefix = { scheme: "always", onlyIfMissing: false }
    } else if (step.type === "Replace" && isSpace(step.pattern) && step.content === "▁") {
      space = "▁"
    } else {
      fail(
        `the normalizer ${nameOf(step)} would change the text; NFC, NFD, a space in front and ▁ for a space are supported`
      )
    }
  }
  for (const [i, step] of cutters.entries()) {
    const inFront = step.type === "Metaspace" ? scheme(step, fail) : step.add_prefix_space === true ? "always" : "never"
    if (step.type === "Metaspace") {
      if ((step.replacement ?? "▁") !== "▁")
        fail(`the replacement of Metaspace is ${quote(step.replacement)}; ▁ is supported`)
      space = "▁"
    }
    if (inFront === "never" || (step.type !== "Metaspace" && step.type !== "ByteLevel")) continue
    if (i > 0) fail(`${nameOf(step)} puts a space in front of every piece, which is not in the text`)
    prefix = { scheme: inFront, onlyIfMissing: true }
  }
  return { form, space, prefix }
}

function scheme(step: Json, fail: Fail): Prefix["scheme"] {
  const given = step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always")
  if (given === "always" || given === "first" || given === "never") return given
  return fail(`the prepend_scheme of Metaspace is ${quote(given)}; always, first and never are supported`)
}

const isSpace = (pattern: unknown) => isRecord(pattern) && pattern.String === " "

/** The pattern inside of ByteLevel, in GPT-2's words (Rust's `tokenizers`, pre_tokenizers/byte_level.rs). */
const gpt2Words = String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

const isolated = (regex: string): Json => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false
})

/** The steps that cut, as Splits that keep everything; at the end of a byte-level one, bytes as characters. */
function cuts(cutters: ReadonlyArray<Json>, space: string, fail: Fail): Json | null {
  const steps = cutters.flatMap((step): ReadonlyArray<Json> => {
    switch (step.type) {
      case "ByteLevel":
        return [
          ...(step.use_regex === false ? [] : [isolated(gpt2Words)]),
          { type: "ByteLevel", add_prefix_space: false, use_regex: false }
        ]
      case "Digits":
        return [isolated(step.individual_digits === true ? String.raw`\p{N}` : String.raw`\p{N}+`)]
      case "Metaspace":
        return step.split === false ? [] : [isolated(`${space}[^${space}]*|[^${space}]+`)]
      case "Split":
        return [split(step, fail)]
      default:
        return fail(
          `the pre-tokenizer ${nameOf(step)} is not supported; ByteLevel, Digits, Metaspace and isolating Splits are`
        )
    }
  })
  return steps.length === 0 ? null : { type: "Sequence", pretokenizers: steps }
}

function split({ pattern, behavior }: Json, fail: Fail): Json {
  // What is isolated is so on both sides: inverting a pattern changes nothing.
  if (behavior !== "Isolated") return fail(`the Split ${quote(behavior)} is not supported; "Isolated" is`)
  if (isRecord(pattern) && typeof pattern.Regex === "string") return isolated(pattern.Regex)
  if (isRecord(pattern) && typeof pattern.String === "string" && pattern.String !== "") {
    return { type: "Split", pattern: { String: pattern.String }, behavior: "Isolated", invert: false }
  }
  return fail(`a Split has the pattern ${quote(pattern)}; {"Regex": …} or {"String": …} was expected`)
}

/** Special tokens that a post-processor puts before the text. */
function prefixOf(postProcessor: unknown, fail: Fail): ReadonlyArray<number> {
  return listOf(postProcessor, "processors", fail).flatMap((step) => {
    switch (step.type) {
      case "ByteLevel":
        return []
      case "TemplateProcessing":
        return templatePrefix(step, fail)
      case "BertProcessing":
      case "RobertaProcessing": {
        const id: unknown = Array.isArray(step.cls) ? step.cls[1] : undefined
        return typeof id === "number" ? [id] : fail(`${nameOf(step)} has no \`cls\``)
      }
      default:
        return fail(`the post-processor ${nameOf(step)} is not supported`)
    }
  })
}

function templatePrefix({ single, special_tokens: known }: Json, fail: Fail): ReadonlyArray<number> {
  const pieces: ReadonlyArray<unknown> = Array.isArray(single) ? single : fail("TemplateProcessing has no `single`")
  const ids: Array<number> = []
  for (const piece of pieces) {
    if (!isRecord(piece)) return fail("TemplateProcessing has a piece that is no object")
    if (isRecord(piece.Sequence)) return ids
    const name = isRecord(piece.SpecialToken) ? piece.SpecialToken.id : undefined
    const entry = isRecord(known) && typeof name === "string" ? known[name] : undefined
    const own: unknown = isRecord(entry) ? entry.ids : undefined
    if (!Array.isArray(own) || !own.every((id) => typeof id === "number")) {
      return fail(`TemplateProcessing names the token ${quote(name)}, and \`special_tokens\` has no ids of it`)
    }
    ids.push(...own)
  }
  return ids
}

/** A component, or the components of a Sequence of them. */
function listOf(component: unknown, children: string, fail: Fail): ReadonlyArray<Json> {
  if (component === null || component === undefined) return []
  if (!isRecord(component) || typeof component.type !== "string") return fail(`a component is ${quote(component)}`)
  if (component.type !== "Sequence") return [component]
  const nested: unknown = component[children]
  return Array.isArray(nested)
    ? nested.flatMap((child) => listOf(child, children, fail))
    : fail(`a Sequence has no ${children}`)
}

const nameOf = (step: Json) => String(step.type)

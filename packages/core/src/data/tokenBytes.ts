/**
 * The raw bytes of every token of a tokenizer.json. Decoders of tokenizer libraries return strings and lose what is no
 * whole character; a reward compares bytes, so this table is ours.
 *
 * | vocabulary     | known by                                   | a token's bytes                                        |
 * | -------------- | ------------------------------------------ | ------------------------------------------------------ |
 * | byte-level     | ByteLevel decoder or pre-tokenizer         | each character is one byte in GPT-2's printable alphabet |
 * | byte fallback  | model.byte_fallback, ByteFallback decoder  | `<0xNN>` is the byte NN                                |
 * | metaspace      | Metaspace or Replace decoder               | `▁` is a space, the rest is UTF-8                      |
 *
 * Added tokens (special ones, and those outside the model's own vocabulary) stand for their content literally.
 */
import { Schema } from "effect"

/** A tokenizer file that cannot be used: which file, what is wrong, what would be right. */
export class TokenizerError extends Schema.TaggedError<TokenizerError>()("TokenizerError", {
  file: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.file}: ${this.problem}`
  }
}

/** Token id -> raw bytes: the bytes of id i are `flat[offsets[i] .. offsets[i + 1])`. */
export interface TokenBytes {
  readonly flat: Uint8Array
  /** Shape [size + 1], ascending. */
  readonly offsets: Uint32Array
  /** Largest token id + 1. */
  readonly size: number
}

/** Builds the table from a parsed tokenizer.json. Throws TokenizerError (under the name `file`) if it cannot be right. */
export function tokenBytes(json: unknown, file = "tokenizer.json"): TokenBytes {
  const fail = (problem: string): never => {
    throw new TokenizerError({ file, problem })
  }
  if (!isRecord(json) || !isRecord(json.model)) return fail("no tokenizer.json: an object with a `model` was expected")
  const vocabulary = readVocabulary(json.model, fail)
  const toBytes = byteRule(json, json.model, fail)
  const contents: Array<[id: number, bytes: Uint8Array]> = []
  const added: ReadonlyArray<unknown> = Array.isArray(json.added_tokens) ? json.added_tokens : []
  // Some ids may be left out, but no lone large one decides how much memory the table takes.
  const limit = 8 * (vocabulary.size + added.length) + 256
  for (const [token, id] of vocabulary) contents.push([checkedId(id, token, limit, fail), toBytes(token)])
  for (const entry of added) {
    if (!isRecord(entry) || typeof entry.content !== "string") return fail("an added token without `content`")
    const id = checkedId(entry.id, entry.content, limit, fail)
    const own = vocabulary.get(entry.content)
    if (entry.special !== true && own !== undefined && own !== id) {
      return fail(`the added token ${JSON.stringify(entry.content)} has the id ${id}, but ${own} in the vocabulary`)
    }
    // Gemma lists plain vocabulary such as "▁▁" as added tokens too: those keep the meaning they have in the vocabulary.
    if (entry.special === true || !vocabulary.has(entry.content)) contents.push([id, utf8.encode(entry.content)])
  }
  return pack(contents)
}

/** The raw bytes of one token, a view of the table. Throws RangeError outside 0 .. size - 1. */
export function bytesAt(table: TokenBytes, id: number): Uint8Array {
  if (!Number.isInteger(id) || id < 0 || id >= table.size) {
    throw new RangeError(`token id ${id} is outside the vocabulary of ${table.size} tokens`)
  }
  const bytes = table.flat.subarray(table.offsets[id], table.offsets[id + 1])
  return bytes.length > 0 ? bytes : unassigned(id)
}

/**
 * The bytes of an id that no token has. It may still be sampled from a padded output layer. It must never pass for text, and
 * never be invisible: empty bytes would let "9" plus padding count as "9".
 */
export const unassigned = (id: number): Uint8Array => utf8.encode(`<unassigned ${id}>`)

const utf8 = new TextEncoder()

type Fail = (problem: string) => never

function checkedId(id: unknown, token: string, limit: number, fail: Fail): number {
  if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= limit) {
    return fail(
      `token ${quote(token)} has the id ${quote(id)}; of a vocabulary of this size, integers below ${limit} were expected`
    )
  }
  return id
}

/** Token -> id: BPE, WordPiece and WordLevel keep an object, Unigram a list of [token, score]. */
function readVocabulary(model: Readonly<Record<string, unknown>>, fail: Fail): ReadonlyMap<string, unknown> {
  const { vocab } = model
  if (Array.isArray(vocab)) {
    return new Map(vocab.map((entry, id) => [Array.isArray(entry) ? String(entry[0]) : String(entry), id]))
  }
  if (isRecord(vocab)) return new Map(Object.entries(vocab))
  return fail("`model.vocab` is missing")
}

function byteRule(
  json: Readonly<Record<string, unknown>>,
  model: Readonly<Record<string, unknown>>,
  fail: Fail
): (token: string) => Uint8Array {
  const decoders = flatten(json.decoder, "decoders")
  const steps = [...decoders, ...flatten(json.pre_tokenizer, "pretokenizers")]
  if (steps.some((step) => step.type === "ByteLevel")) return byteLevelBytes

  const spaces = new Set<string>()
  for (const step of steps) {
    if (step.type === "Metaspace") spaces.add(typeof step.replacement === "string" ? step.replacement : "▁")
    if (step.type === "Replace" && step.content === " " && isRecord(step.pattern)) {
      if (typeof step.pattern.String === "string") spaces.add(step.pattern.String)
    }
  }
  const fallback = model.byte_fallback === true || decoders.some((step) => step.type === "ByteFallback")
  if (spaces.size === 0 && !fallback) {
    const found = decoders.length === 0 ? "no decoder" : `the decoder ${decoders.map((step) => step.type).join(", ")}`
    return fail(
      `${model.type} with ${found}: how its tokens turn into bytes is not known; byte-level, byte-fallback and ` +
        `metaspace vocabularies are supported`
    )
  }
  return (token) => {
    const byte = fallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null
    if (byte !== null) return Uint8Array.of(Number.parseInt(byte[1], 16))
    let text = token
    for (const space of spaces) text = text.replaceAll(space, " ")
    return utf8.encode(text)
  }
}

/** GPT-2's alphabet: printable Latin-1 stands for itself, the other 68 bytes for U+0100 onwards, in order. */
const byteLevelAlphabet: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)
  let next = 0x100
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCharCode(printable(byte) ? byte : next++), byte] as const)
  )
})()

/** A character outside the alphabet makes the whole token literal, as in the Rust ByteLevel decoder. */
function byteLevelBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length)
  for (let i = 0; i < token.length; i++) {
    const byte = byteLevelAlphabet.get(token[i])
    if (byte === undefined) return utf8.encode(token)
    bytes[i] = byte
  }
  return bytes
}

function pack(contents: ReadonlyArray<readonly [id: number, bytes: Uint8Array]>): TokenBytes {
  const byId = new Map(contents)
  const size = contents.reduce((largest, [id]) => Math.max(largest, id + 1), 0)
  const offsets = new Uint32Array(size + 1)
  for (let id = 0; id < size; id++) offsets[id + 1] = offsets[id] + (byId.get(id)?.length ?? 0)
  const flat = new Uint8Array(offsets[size])
  for (const [id, bytes] of byId) flat.set(bytes, offsets[id])
  return { flat, offsets, size }
}

function flatten(component: unknown, children: string): ReadonlyArray<Readonly<Record<string, unknown>>> {
  if (!isRecord(component)) return []
  const nested = component[children]
  return Array.isArray(nested) ? nested.flatMap((child) => flatten(child, children)) : [component]
}

/** JSON of a value, cut to a length that fits into a line. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing"
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

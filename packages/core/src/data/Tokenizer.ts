/**
 * A tokenizer.json and its tokenizer_config.json: text to ids through `@huggingface/tokenizers`, ids to raw bytes through
 * our own table (tokenBytes).
 *
 * The law that ties the two: for a text without the content of an added token,
 *   bytesOf(encode(text)) = utf8(normalise(text))
 * where normalise is what the tokenizer.json asks for: nothing (GPT-2), NFC (Qwen), or for metaspace vocabularies
 * (Llama) one space in front and `▁` turned into a space. Around an added token the law holds piece by piece, and a lone
 * surrogate counts as U+FFFD. A vocabulary with neither all bytes nor an unknown token drops what it cannot spell.
 */
import { readFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import * as Effect from "effect/Effect"
import { bytesAt, tokenBytes, TokenizerError } from "./tokenBytes.ts"

export { TokenizerError }

export interface Tokenizer {
  readonly name: string
  /** Largest token id + 1. A model's embedding may be larger (padded), never smaller. */
  readonly vocabSize: number
  /** The ids of `text`, no bos or eos added. Added tokens are recognised where the text spells them out. */
  readonly encode: (text: string) => Int32Array
  /** The raw bytes of one token. Throws RangeError outside 0 .. vocabSize - 1. */
  readonly bytes: (id: number) => Uint8Array
  /** The raw bytes of a sequence of tokens, concatenated. */
  readonly bytesOf: (ids: ArrayLike<number>) => Uint8Array
  /** A view for people: the bytes as UTF-8, U+FFFD where they are no whole character. */
  readonly text: (ids: ArrayLike<number>) => string
  /** The id of a token by its content as the vocabulary spells it, such as "<|think|>" or "</s>". */
  readonly tokenId: (content: string) => number | undefined
  /** From tokenizer_config.json; undefined where the tokenizer has none. */
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** What the tokenizer puts in front of a text of its own accord: [bos] for Llama, nothing for GPT-2 and Qwen. */
  readonly prefix: Int32Array
  /** The files as read, so that a checkpoint can carry them: tokenizer.json and tokenizer_config.json. */
  readonly files: ReadonlyMap<TokenizerFile, string>
}

export type TokenizerFile = "tokenizer.json" | "tokenizer_config.json"

/** Reads a tokenizer from a Hugging Face model directory. tokenizer_config.json may be missing. */
export const load = (directory: string): Effect.Effect<Tokenizer, TokenizerError> =>
  Effect.gen(function* () {
    const path = join(directory, "tokenizer.json")
    const tokenizer = yield* readText(path, () =>
      Effect.fail(new TokenizerError({ file: path, problem: "no such file; a Hugging Face model directory has one" }))
    )
    const config = yield* readText(join(directory, "tokenizer_config.json"), () => Effect.succeed("{}"))
    return yield* fromJson({ name: basename(directory), directory, tokenizer, config })
  })

/** Builds a tokenizer from the text of its two files. `directory` is named in errors. */
export const fromJson = (source: {
  readonly name: string
  readonly tokenizer: string
  readonly config: string
  readonly directory?: string
}): Effect.Effect<Tokenizer, TokenizerError> =>
  Effect.try({
    try: () => build(source),
    catch: (cause) =>
      cause instanceof TokenizerError
        ? cause
        : new TokenizerError({ file: fileName(source.directory, "tokenizer.json"), problem: describe(cause) })
  })

/** As `fromJson`, for files made in code, which are right by construction. Throws TokenizerError. */
export function build(source: {
  readonly name: string
  readonly tokenizer: string
  readonly config: string
  readonly directory?: string
}): Tokenizer {
  const file = fileName(source.directory, "tokenizer.json")
  const json = parse(source.tokenizer, file)
  const config = parse(source.config, fileName(source.directory, "tokenizer_config.json"))
  const table = tokenBytes(json, file)
  const library: Library = new HuggingFaceTokenizer(json, config)
  const tokenId = (content: string) => library.token_to_id(content)

  const encode = (text: string): Int32Array => {
    const { ids } = library.encode(text.toWellFormed(), { add_special_tokens: false })
    return Int32Array.from(ids, (id) => {
      if (id !== undefined) return id
      throw new RangeError(`the tokenizer ${source.name} cannot spell part of the text and has no unknown token`)
    })
  }

  const bytesOf = (ids: ArrayLike<number>): Uint8Array => {
    const parts = Array.from(ids, (id) => bytesAt(table, id))
    const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
    let offset = 0
    for (const part of parts) {
      out.set(part, offset)
      offset += part.length
    }
    return out
  }

  return {
    name: source.name,
    vocabSize: table.size,
    encode,
    bytes: (id) => bytesAt(table, id),
    bytesOf,
    text: (ids) => decoder.decode(bytesOf(ids)),
    tokenId,
    bos: specialId(config.bos_token, tokenId),
    eos: specialId(config.eos_token, tokenId),
    prefix: prefixOf(library),
    files: new Map([
      ["tokenizer.json", source.tokenizer],
      ["tokenizer_config.json", source.config]
    ])
  }
}

/** What we use of the library, whose own types do not resolve under Node's rules for ES modules. */
interface Library {
  encode(text: string, options?: { add_special_tokens: boolean }): { ids: ReadonlyArray<number | undefined> }
  token_to_id(content: string): number | undefined
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const fileName = (directory: string | undefined, file: TokenizerFile) =>
  directory === undefined ? file : join(directory, file)

const describe = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))

function readText<E>(path: string, missing: () => Effect.Effect<string, E>): Effect.Effect<string, E | TokenizerError> {
  return Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: (cause) => cause }).pipe(
    Effect.catch((cause): Effect.Effect<string, E | TokenizerError> =>
      cause instanceof Error && "code" in cause && cause.code === "ENOENT"
        ? missing()
        : Effect.fail(new TokenizerError({ file: path, problem: describe(cause) }))
    )
  )
}

function parse(text: string, file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value }
  } catch (cause) {
    throw new TokenizerError({ file, problem: `no JSON: ${describe(cause)}` })
  }
  throw new TokenizerError({ file, problem: "a JSON object was expected" })
}

/** bos_token and eos_token are a string, an object with `content` (older files), or null. */
function specialId(token: unknown, tokenId: (content: string) => number | undefined): number | undefined {
  if (typeof token === "string") return tokenId(token)
  if (typeof token === "object" && token !== null && "content" in token && typeof token.content === "string") {
    return tokenId(token.content)
  }
  return undefined
}

function prefixOf(library: Library): Int32Array {
  const bare = library.encode("a", { add_special_tokens: false }).ids
  const full = library.encode("a").ids
  const start = full.findIndex((_, i) => bare.every((id, j) => full[i + j] === id))
  return Int32Array.from(full.slice(0, Math.max(0, start)), Number)
}

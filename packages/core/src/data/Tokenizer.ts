/**
 * A tokenizer.json and its tokenizer_config.json: text to ids, ids to raw bytes.
 *
 * The law that ties the two, for any text (a lone surrogate counts as U+FFFD):
 *   bytesOf(encode(text)) = utf8(spelled(text))
 * where `spelled` is what the tokenizer.json asks for: nothing (GPT-2, Llama 3, SmolLM2), NFC (Qwen), or for metaspace
 * vocabularies (Llama 2, Mistral) one space in front and `▁` read as a space. `encode` checks it for the text at hand and
 * throws where it does not hold: a text is never cut wrongly in silence, nor a character dropped or made unknown. What
 * follows in a document is, from there on, the bytes of its tokens, normal form and all.
 *
 * Ids are those of the Rust library with `encode_special_tokens` (transformers: `split_special_tokens`): a document that has
 * `<|im_end|>` in it has these ten characters. They can differ where the Unicode versions do: characters that are letters,
 * numbers or marks only since Unicode 17 (Node 24) or combine since Unicode 10 (NFC) are cut otherwise by a Rust library that
 * does not know them yet. The bytes are right then, too.
 */
import { basename, join } from "node:path"
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { parseJson } from "../storage/boundedJson.ts"
import { readWhole } from "../storage/Disk.ts"
import { cutter, respaced, spelled } from "./spelling.ts"
import { bytesAt, isRecord, tokenBytes, TokenizerError } from "./tokenBytes.ts"
import { addedTokensProblem, chatTemplateIn, namedTokens } from "./tokenizerConfig.ts"
import { readTokenizerJson } from "./tokenizerJson.ts"
import type { AddedToken } from "./tokenizerJson.ts"

export { TokenizerError }

export interface Tokenizer {
  readonly name: string
  /** Largest token id + 1. A model's embedding may be larger (padded), never smaller. */
  readonly vocabSize: number
  /**
   * The ids of a document, no bos or eos added. What looks like a special token in it is text; other added tokens (Qwen's
   * `<tool_call>`) are vocabulary. Throws TokenizerError where the vocabulary cannot spell the text.
   */
  readonly encode: (text: string) => Int32Array
  /**
   * The ids of a piece of a prompt that we wrote ourselves: special tokens stand where it spells them out. A piece that
   * continues another one gets no space of its own in front. What the vocabulary cannot spell is its unknown token; throws
   * TokenizerError where it has none.
   */
  readonly encodePrompt: (text: string, place: "opens" | "continues") => Int32Array
  /** The raw bytes of one token. Throws RangeError outside 0 .. vocabSize - 1. */
  readonly bytes: (id: number) => Uint8Array
  /** The raw bytes of a sequence of tokens, concatenated. */
  readonly bytesOf: (ids: ArrayLike<number>) => Uint8Array
  /** A view for people: the bytes as UTF-8, U+FFFD where they are no whole character. */
  readonly text: (ids: ArrayLike<number>) => string
  /** The id of a token by its content as the vocabulary spells it, such as "<|think|>" or "</s>". */
  readonly tokenId: (content: string) => number | undefined
  /** As tokenizer_config.json names them, or special_tokens_map.json; undefined where the tokenizer has none. */
  readonly bos: number | undefined
  readonly eos: number | undefined
  /** What the tokenizer puts in front of a text of its own accord: [bos] for Llama, nothing for GPT-2 and Qwen. */
  readonly prefix: Int32Array
  /** The contents of the special tokens. */
  readonly specialTokens: ReadonlyArray<string>
  /** Contents of bos_token, eos_token and their kin, from the same files. */
  readonly namedTokens: Readonly<Record<string, string>>
  /** The Jinja source of the model's chat template: chat_template.jinja, or what tokenizer_config.json has. */
  readonly chatTemplate: string | undefined
  /** The files as read, so that a checkpoint can carry them. */
  readonly files: ReadonlyMap<TokenizerFile, string>
}

export type TokenizerFile = "tokenizer.json" | "tokenizer_config.json" | OptionalFile
type OptionalFile = "chat_template.jinja" | "special_tokens_map.json" | "added_tokens.json"

/** The text of a tokenizer's files. `directory` is named in errors. */
export interface TokenizerSource {
  readonly name: string
  readonly tokenizer: string
  readonly config: string
  readonly chatTemplate?: string | undefined
  /** Of older tokenizers. */
  readonly specialTokensMap?: string | undefined
  readonly addedTokens?: string | undefined
  readonly directory?: string
}

/** Reads a tokenizer from a Hugging Face model directory. All but tokenizer.json may be missing. */
export const load = (directory: string): Effect.Effect<Tokenizer, TokenizerError> =>
  Effect.gen(function* () {
    const path = join(directory, "tokenizer.json")
    const tokenizer = yield* readText(path, () =>
      Effect.fail(new TokenizerError({ file: path, problem: "no such file; a Hugging Face model directory has one" }))
    )
    const config = yield* readText(join(directory, "tokenizer_config.json"), () => Effect.succeed("{}"))
    const optional = (file: OptionalFile) =>
      readText(join(directory, file), () => Effect.succeed<string | undefined>(undefined))
    return yield* fromJson({
      name: basename(directory),
      directory,
      tokenizer,
      config,
      chatTemplate: yield* optional("chat_template.jinja"),
      specialTokensMap: yield* optional("special_tokens_map.json"),
      addedTokens: yield* optional("added_tokens.json")
    })
  })

/** Builds a tokenizer from the text of its files. */
export const fromJson = (source: TokenizerSource): Effect.Effect<Tokenizer, TokenizerError> =>
  Effect.try({
    try: () => build(source),
    catch: (cause) =>
      cause instanceof TokenizerError
        ? cause
        : new TokenizerError({ file: fileName(source.directory, "tokenizer.json"), problem: describe(cause) })
  })

/** As `fromJson`, for files made in code, which are right by construction. Throws TokenizerError. */
export function build(source: TokenizerSource): Tokenizer {
  const file = fileName(source.directory, "tokenizer.json")
  const json = parse(source.tokenizer, file)
  const parsed = (file: TokenizerFile, text: string = "{}") => parse(text, fileName(source.directory, file))
  const config = parsed("tokenizer_config.json", source.config)
  const beside = {
    config,
    specialTokensMap: parsed("special_tokens_map.json", source.specialTokensMap),
    addedTokens: parsed("added_tokens.json", source.addedTokens)
  }
  const table = tokenBytes(json, file)
  const read = readTokenizerJson(json, file)
  const lost = addedTokensProblem(beside, read.ids)
  if (lost !== undefined) throw new TokenizerError({ file, problem: lost })
  const engine: Engine = new HuggingFaceTokenizer(read.engine, {})
  const tokenId = (content: string) => read.ids.get(content)
  const named = namedTokens(beside)
  const idOf = (name: string) => (Object.hasOwn(named, name) ? tokenId(named[name]) : undefined)

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

  /** The ids of a piece without added tokens, as it is spelled. The library drops what has no token, so the bytes are checked. */
  const plain = (piece: string, mayBeUnknown: boolean): ReadonlyArray<number> => {
    const ids = Array.from(engine.encode(piece, { add_special_tokens: false }).ids, (id) => id ?? 0)
    const expected = utf8.encode(piece.replaceAll(read.spelling.space, " "))
    const at =
      firstDifference(bytesOf(ids), expected) ?? (read.unknown !== undefined && ids.includes(read.unknown) ? 0 : -1)
    if (at < 0 || (mayBeUnknown && read.unknown !== undefined)) return ids
    const there = JSON.stringify(decoder.decode(expected.subarray(at, at + 24)))
    throw new TokenizerError({ file, problem: `the vocabulary cannot spell the text from ${there} on` })
  }

  const encodeWith = (added: ReadonlyArray<AddedToken>, mayBeUnknown: boolean) => {
    const cut = cutter(added, read.spelling.form)
    return (text: string, place: "opens" | "continues"): Int32Array =>
      Int32Array.from(
        cut(text.toWellFormed()).flatMap((piece, i) => {
          if (piece._tag === "Added") return [piece.id]
          const isContinued = i === 0 && place === "continues"
          const text = isContinued ? respaced(piece.text, read.spelling) : spelled(piece.text, read.spelling, i === 0)
          return plain(text, mayBeUnknown)
        })
      )
  }
  const encodeDocument = encodeWith(
    read.added.filter((token) => !token.special),
    false
  )

  return {
    name: source.name,
    vocabSize: table.size,
    encode: (text) => encodeDocument(text, "opens"),
    encodePrompt: encodeWith(read.added, true),
    bytes: (id) => bytesAt(table, id),
    bytesOf,
    text: (ids) => decoder.decode(bytesOf(ids)),
    tokenId,
    bos: idOf("bos_token"),
    eos: idOf("eos_token"),
    prefix: Int32Array.from(read.prefix),
    specialTokens: read.added.filter((token) => token.special).map(({ content }) => content),
    namedTokens: named,
    chatTemplate: source.chatTemplate ?? chatTemplateIn(config),
    files: new Map([
      ["tokenizer.json", source.tokenizer],
      ["tokenizer_config.json", source.config],
      ...given("chat_template.jinja", source.chatTemplate),
      ...given("special_tokens_map.json", source.specialTokensMap),
      ...given("added_tokens.json", source.addedTokens)
    ])
  }
}

const given = (file: OptionalFile, text: string | undefined): ReadonlyArray<readonly [OptionalFile, string]> =>
  text === undefined ? [] : [[file, text]]

/** What we use of the library, whose own types do not resolve under Node's rules for ES modules. */
interface Engine {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: ReadonlyArray<number | undefined> }
}

const utf8 = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** The first place at which they differ, or undefined where they are the same. */
function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return i
  return a.length === b.length ? undefined : shared
}

const fileName = (directory: string | undefined, file: TokenizerFile) =>
  directory === undefined ? file : join(directory, file)

/** The first line of what went wrong. */
const describe = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]

/** The largest tokenizers have some 30 MB. */
const largestFile = 2 ** 28

function readText<A, E>(
  path: string,
  missing: () => Effect.Effect<A, E>
): Effect.Effect<A | string, E | TokenizerError> {
  return Effect.map(readWhole(path, largestFile), (bytes) => decoder.decode(bytes)).pipe(
    Effect.catch((error): Effect.Effect<A, E | TokenizerError> =>
      error.isMissing ? missing() : Effect.fail(new TokenizerError({ file: path, problem: error.reason }))
    )
  )
}

function parse(text: string, file: string): Readonly<Record<string, unknown>> {
  const json = parseJson(text)
  if (Result.isFailure(json)) throw new TokenizerError({ file, problem: json.failure })
  if (isRecord(json.success)) return json.success
  throw new TokenizerError({ file, problem: "a JSON object was expected" })
}

import { Corpus } from "@foretoken/core"
import type { Document, Tokenizer } from "@foretoken/core"
import * as Effect from "effect/Effect"

/** A piece of a document as the model reads it. */
export interface Window {
  readonly document: string
  readonly ids: Int32Array
  /** Tokens before this index are there as context: the tokenizer's prefix, or the token before the window. */
  readonly from: number
}

/**
 * A document cut into windows of at most `length` tokens, in which each of its tokens is scored exactly once. A window
 * begins with what the tokenizer puts in front of a text; where that is nothing, with the last token of the window before,
 * and the first token of the document is not scored.
 */
export const windowsOf = (
  tokenizer: Tokenizer.Tokenizer,
  document: Document,
  length: number
): Effect.Effect<ReadonlyArray<Window>, Corpus.CorpusError> =>
  Effect.map(encode(tokenizer, document), (tokens) => {
    const { prefix } = tokenizer
    const step = Math.max(1, length - Math.max(1, prefix.length))
    const out: Array<Window> = []
    if (prefix.length === 0) {
      for (let start = 0; start + 1 < tokens.length; start += step) {
        out.push({ document: document.id, ids: tokens.slice(start, start + step + 1), from: 1 })
      }
    } else {
      for (let start = 0; start < tokens.length; start += step) {
        const ids = Int32Array.from([...prefix, ...tokens.subarray(start, start + step)])
        out.push({ document: document.id, ids, from: prefix.length })
      }
    }
    return out
  })

const encode = (tokenizer: Tokenizer.Tokenizer, { id, text }: Document) =>
  Effect.try({
    try: () => tokenizer.encode(text),
    catch: (cause) =>
      new Corpus.CorpusError({ location: id, problem: cause instanceof Error ? cause.message : String(cause) })
  })

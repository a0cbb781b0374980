/**
 * llama2.c's tokenizer.bin (tokenizer.py): u32 length of the longest token, then for each token: f32 score, i32 length, bytes. It
 * is a SentencePiece vocabulary whose `▁` were turned into spaces, with <s> and </s> between line feeds; ids 0, 1 and 2 are
 * unknown, bos and eos, and the 256 bytes follow.
 */
import type { Result } from "effect"
import { Cursor } from "../gguf/Cursor.ts"
import { refusals, refuse } from "../refusal.ts"
import { scoredFiles } from "../vocabulary.ts"
import type { TokenKind } from "../vocabulary.ts"

/** The tokenizer's files of a vocabulary of `vocabSize`, out of all bytes of a tokenizer.bin. */
export const tokenizerOfLlama2c = (
  bytes: Uint8Array,
  vocabSize: number
): Result.Result<Readonly<Record<string, string>>, string> =>
  refusals(() => {
    const cursor = new Cursor(bytes, bytes.byteLength)
    cursor.u32("the length of the longest token")
    const tokens: Array<string> = []
    const scores: Array<number> = []
    while (tokens.length < vocabSize) {
      if (cursor.left === 0) refuse(`has ${tokens.length} tokens, the model ${vocabSize}`)
      const what = `token ${tokens.length}`
      scores.push(cursor.f32(what))
      const length = cursor.i32(what)
      if (length < 0) refuse(`${what} has a length of ${length}`)
      tokens.push(spelled(cursor.text(length, what), tokens.length))
    }
    if (cursor.left > 0) refuse(`has ${cursor.left} bytes after the ${vocabSize} tokens of the model`)
    if (tokens.length < firstPiece) refuse(`has ${tokens.length} tokens; the bytes alone are ${firstPiece}`)
    const vocabulary = {
      tokens,
      kinds: tokens.map((_, id) => kindOf(id)),
      unknown: 0,
      bos: 1,
      eos: 2,
      padding: undefined,
      addBos: true,
      addEos: false,
      chatTemplate: undefined
    }
    return scoredFiles(vocabulary, scores, true)
  })

/** <unk>, <s>, </s> and 256 bytes stand before the pieces. */
const firstPiece = 259

const kindOf = (id: number): TokenKind =>
  id === 0 ? "unknown" : id < 3 ? "control" : id < firstPiece ? "byte" : "normal"

const spelled = (text: string, id: number): string =>
  id === 1 ? "<s>" : id === 2 ? "</s>" : id < firstPiece ? text : text.replaceAll(" ", "▁")

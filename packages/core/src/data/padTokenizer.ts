import { concat } from "../prompt/bytes.ts"
import { unassigned } from "./tokenBytes.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/**
 * The tokenizer of a model whose embedding has more rows than there are tokens, as those have that are padded to a round
 * size (Qwen2.5: 151,936 rows, 151,665 tokens). A model can draw any row: one that no token has is spelled as such, as an
 * id is that the vocabulary leaves out.
 */
export const padTokenizer = (tokenizer: Tokenizer, rows: number): Tokenizer => {
  const { vocabSize } = tokenizer
  if (rows <= vocabSize) return tokenizer
  const bytes = (id: number) => (id >= vocabSize && id < rows ? unassigned(id) : tokenizer.bytes(id))
  const bytesOf = (ids: ArrayLike<number>) => concat(...Array.from(ids, bytes))
  return { ...tokenizer, bytes, bytesOf, text: (ids) => decoder.decode(bytesOf(ids)) }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

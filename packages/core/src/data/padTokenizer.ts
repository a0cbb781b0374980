import type { Tokenizer } from "./Tokenizer.ts"

/**
 * The tokenizer of a model whose embedding has more rows than there are tokens, as those have that are padded to a round
 * size (Qwen2.5: 151,936 rows, 151,665 tokens). A model can draw any row: one that no token has stands for no bytes.
 */
export const padTokenizer = (tokenizer: Tokenizer, rows: number): Tokenizer => {
  const { vocabSize } = tokenizer
  if (rows <= vocabSize) return tokenizer
  const isToken = (id: number): boolean => !(id >= vocabSize && id < rows)
  const tokensOf = (ids: ArrayLike<number>): ReadonlyArray<number> => Array.from(ids).filter(isToken)
  return {
    ...tokenizer,
    bytes: (id) => (isToken(id) ? tokenizer.bytes(id) : new Uint8Array(0)),
    bytesOf: (ids) => tokenizer.bytesOf(tokensOf(ids)),
    text: (ids) => tokenizer.text(tokensOf(ids))
  }
}

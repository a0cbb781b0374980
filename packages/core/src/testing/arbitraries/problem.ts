import * as fc from "fast-check"
import type { Continuation, Problem, TokenizedDocument } from "../../data/NextToken.ts"
import { concat } from "../../prompt/bytes.ts"
import { document } from "./document.ts"
import type { TokenTable } from "./tokenTable.ts"

export interface ProblemCase {
  readonly table: TokenTable
  readonly problem: Problem
}

/** The continuation of a document from `anchor` on, by the definition: one boundary per true token. */
export const continuationOf = (table: TokenTable, document: TokenizedDocument, anchor: number): Continuation => {
  const tokens = Array.from(document.tokens.subarray(anchor), (token) => table[token])
  return {
    bytes: concat(...tokens),
    boundaries: tokens.map((_, last) => concat(...tokens.slice(0, last + 1)).length)
  }
}

/** A problem at any anchor with at least one token before it and one after. */
export const problem: fc.Arbitrary<ProblemCase> = fc
  .record({ documentCase: document, at: fc.nat(22) })
  .map(({ documentCase: { table, document }, at }) => {
    const anchor = 1 + (at % (document.tokens.length - 1))
    const continuation = continuationOf(table, document, anchor)
    return { table, problem: { id: `${document.id}@${anchor}`, document, anchor, continuation } }
  })

import * as fc from "fast-check"
import type { TokenizedDocument } from "../../data/NextToken.ts"
import { type TokenTable, tokenTable } from "./tokenTable.ts"

export interface DocumentCase {
  readonly table: TokenTable
  readonly document: TokenizedDocument
}

/** A document of 2 to 24 tokens with its table; longer tokens come as often as single bytes. */
export const document: fc.Arbitrary<DocumentCase> = tokenTable.chain((table) =>
  fc.record({
    table: fc.constant(table),
    document: fc.record({
      id: fc.uuid(),
      tokens: fc
        .array(fc.oneof(fc.nat(255), fc.integer({ min: 256, max: table.length - 1 })), { minLength: 2, maxLength: 24 })
        .map((tokens) => Int32Array.from(tokens))
    })
  })
)

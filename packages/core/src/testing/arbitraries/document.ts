import * as fc from "fast-check"
import type { TokenizedDocument } from "../../data/NextToken.ts"
import type { TokenTable } from "./tokenTable.ts"
import { vocabulary } from "./vocabulary.ts"

export interface DocumentCase {
  readonly table: TokenTable
  readonly document: TokenizedDocument
}

/** The byte `a`, and from there upwards: what a counterexample shrinks to should be readable. */
const byteToken = fc.nat(255).map((n) => (0x61 + n) % 256)

const token = fc.oneof({ withCrossShrink: true }, byteToken, fc.integer({ min: 256, max: 279 }))

/** An array that may lose any of its elements in shrinking; `minLength` of fc.array keeps the last ones whatever they are. */
export const atLeast = <A>(
  count: number,
  element: fc.Arbitrary<A>,
  maxLength: number
): fc.Arbitrary<ReadonlyArray<A>> => fc.array(element, { maxLength }).filter(({ length }) => length >= count)

/** A document of 2 to 24 tokens with its table; longer tokens come as often as single bytes. */
export const document: fc.Arbitrary<DocumentCase> = fc
  .record({
    vocabulary: vocabulary(),
    id: fc.nat({ max: 0xffffffff }),
    // Written over the largest table and folded into the one at hand, so that table and tokens shrink apart.
    tokens: atLeast(2, token, 24)
  })
  .map(({ vocabulary: { table }, id, tokens }) => ({
    table,
    document: {
      id: `d${id.toString(16)}`,
      tokens: Int32Array.from(tokens, (id) => (id < 256 ? id : 256 + ((id - 256) % (table.length - 256))))
    }
  }))

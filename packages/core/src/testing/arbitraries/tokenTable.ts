import * as fc from "fast-check"
import { utf8 } from "../../prompt/bytes.ts"

/** Token id -> raw bytes. */
export type TokenTable = ReadonlyArray<Uint8Array>

/** Ids 0 .. 255 of every generated table are the single bytes, so any bytes can be spelled: token id = byte. */
export const byteTokens: TokenTable = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte))

/** Tokens that reward code has been caught by: braces, spaces, literal escapes, characters cut in two. */
const treacherous: TokenTable = [
  ..."{|}|{}|\\|\\boxed{|\\boxed|</think>|\n|\\n| |  | the|the|ab|é|e\u0301|日本|🙂|ﬁ|fi".split("|").map(utf8),
  utf8("<|end|>"),
  Uint8Array.of(0xc3),
  Uint8Array.of(0xa9),
  Uint8Array.of(0xa9, 0x61),
  Uint8Array.of(0xf0, 0x9f)
]

/** The single bytes and up to 24 longer tokens, some of which split UTF-8 characters. No token is of zero bytes. */
export const tokenTable: fc.Arbitrary<TokenTable> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...treacherous) },
      { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 6 }) }
    ),
    { minLength: 1, maxLength: 24 }
  )
  .map((longer) => [...byteTokens, ...longer])

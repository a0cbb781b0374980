import * as fc from "fast-check"
import type { Continuation } from "../../data/NextToken.ts"
import { concat, utf8 } from "../../prompt/bytes.ts"
import { towardsFirst } from "./vocabulary.ts"

/** An answer that is nearly `right`, the first bytes of a continuation up to a boundary. */
export type NearMiss = (right: Uint8Array, continuation: Continuation) => Uint8Array

type Way = (
  right: Uint8Array,
  continuation: Continuation,
  choices: { readonly byte: number; readonly at: number }
) => Uint8Array

const bytewise: ReadonlyArray<Way> = [
  (right, _, { byte }) => concat(right, Uint8Array.of(byte)), // one byte long
  (right) => right.slice(0, -1), // one byte short
  (right, { bytes }) => bytes.slice(0, right.length + 1), // one byte of the next token
  (_, { bytes }, { at }) => bytes.slice(0, 1 + (at % bytes.length)), // somewhere inside a token
  (right, { bytes, boundaries }) => bytes.slice(boundaries[0], right.length), // the first token left out
  (right, { bytes }) => bytes.slice(0, utf8(decode(right)).length), // as many bytes as the decoded string has
  (right, { bytes }) => bytes.slice(0, decode(right).length), // as many bytes as that has characters
  (right, _, { byte, at }) => right.with(at % right.length, byte), // one byte changed
  (right) => concat(right, right)
]

/** As libraries do it: what is no character becomes U+FFFD. */
const decode = (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)

/** A change of text; what is no text stays as it is. */
const text =
  (change: (right: string) => string) =>
  (right: Uint8Array): Uint8Array => {
    const whole = decode(right)
    return String(utf8(whole)) === String(right) ? utf8(change(whole)) : right
  }

const textwise = [
  text((right) => right.trim()),
  text((right) => ` ${right}`),
  text((right) => `${right} `),
  text((right) => `${right}\n`),
  text((right) => right.toLowerCase()),
  text((right) => right.toUpperCase()),
  text((right) => right.normalize("NFC")),
  text((right) => right.normalize("NFD")),
  text((right) => right.normalize("NFKC")),
  text((right) => right.replaceAll("\n", "\\n")),
  text((right) => right.replaceAll("\\n", "\n")),
  text((right) => right.replaceAll(/[AEOPaeop\-' ]/g, (plain) => lookAlikes[plain])),
  text((right) => right.replaceAll(/\s+/g, " ")),
  text((right) => right.replaceAll(/\s+/g, "")),
  text((right) => `$${right}$`),
  text((right) => `\\text{${right}}`)
]

/** Another character that a person reads as the same: Cyrillic, a hyphen, a typographic quote, a no-break space. */
const lookAlikes: Readonly<Record<string, string>> = {
  A: "\u0410",
  E: "\u0415",
  O: "\u041e",
  P: "\u0420",
  a: "\u0430",
  e: "\u0435",
  o: "\u043e",
  p: "\u0440",
  "-": "\u2010",
  "'": "\u2019",
  " ": "\u00a0"
}

/**
 * Answers that are nearly right. A way that changes nothing (no capital to fold, nothing to trim) gives place to one that
 * does, so that near misses mostly miss; some are right after all, because bytes repeat and boundaries touch.
 */
export const nearMiss: fc.Arbitrary<NearMiss> = fc
  .record({
    way: fc.nat(bytewise.length + textwise.length - 1),
    byte: fc.nat(255).map((n) => (0x78 + n) % 256),
    at: fc.nat(63)
  })
  .map(({ way, byte, at }): NearMiss => {
    const choices = { byte, at }
    return (right, continuation) => {
      const misses = [
        ...(way < bytewise.length ? [] : [textwise[way - bytewise.length](right)]),
        bytewise[way % bytewise.length](right, continuation, choices),
        concat(right, Uint8Array.of(byte))
      ]
      return misses.find((missed) => String(missed) !== String(right))!
    }
  })

/** Short strings over a few words, so that markers meet each other in every order. */
export const textOf = (...words: ReadonlyArray<string>): fc.Arbitrary<Uint8Array> =>
  fc.array(towardsFirst(words), { maxLength: 8 }).map((picked) => utf8(picked.join("")))

/**
 * How close the prediction comes to the next segment of the text.
 *
 *   r = (1 - λ) (1 - d(y, s) / max(|y|, |s|)) + λ lcp(y, s) / max(|y|, |s|)
 *
 * s is the next segment: the true continuation up to and with its first sentence end (a full stop, question or
 * exclamation mark before white space, or a line feed), or all that is known of it. d is Levenshtein's edit distance and lcp the length of
 * the longest common prefix, both in bytes. r is 1 for y = s and for nothing else.
 *
 * Source: the task of next-segment reasoning is RLPT's, arXiv 2509.19249. Where we depart: RLPT lets a generative model
 * judge; this is its rule-based kin, which cannot be talked into anything and does not understand paraphrase.
 */
import { failures, noGains } from "./Claims.ts"
import { pure, type Reward } from "./Reward.ts"

/** λ from 0 to 1, default 1/2. */
export const segmentMatch = ({ lambda = 0.5 }: { readonly lambda?: number } = {}): Reward => {
  if (!(lambda >= 0 && lambda <= 1)) throw new RangeError(`lambda is ${lambda}: a share from 0 to 1 was expected`)
  return pure(
    "segmentMatch",
    ({ prediction }, { continuation }) => {
      if (prediction.outcome !== "answered") return 0
      const segment = segmentOf(continuation.bytes)
      const longest = Math.max(prediction.bytes.length, segment.length)
      const near = 1 - editDistance(prediction.bytes, segment) / longest
      return (1 - lambda) * near + (lambda * commonPrefix(prediction.bytes, segment)) / longest
    },
    { bounds: { low: 0, high: 1 }, nothingFor: failures, noGain: noGains }
  )
}

/** The bytes up to and with the first sentence end. */
export const segmentOf = (bytes: Uint8Array): Uint8Array => {
  const end = bytes.findIndex(
    (byte, i) => byte === lineFeed || (sentenceEnds.has(byte) && i + 1 < bytes.length && blanks.has(bytes[i + 1]))
  )
  return end < 0 ? bytes : bytes.subarray(0, end + 1)
}

/** Fewest insertions, deletions and substitutions of bytes that turn `a` into `b`. */
export const editDistance = (a: Uint8Array, b: Uint8Array): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (const [i, byte] of a.entries()) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j + 1] + 1, next[j] + 1, row[j] + (byte === b[j] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]
}

const commonPrefix = (a: Uint8Array, b: Uint8Array): number => {
  const end = a.findIndex((byte, i) => byte !== b[i])
  return end < 0 ? a.length : end
}

const codesOf = (characters: string): ReadonlySet<number> =>
  new Set(Array.from(characters, (character) => character.charCodeAt(0)))
const lineFeed = 0x0a
const sentenceEnds = codesOf(".?!")
const blanks = codesOf(" \t\r\n")

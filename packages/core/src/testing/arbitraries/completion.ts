import * as fc from "fast-check"
import type { Continuation } from "../../data/NextToken.ts"
import { concat, utf8 } from "../../prompt/bytes.ts"
import { render, type Template } from "../../prompt/Template.ts"

/** What the generator meant the completion to be. Near misses may be right after all: bytes repeat, boundaries touch. */
export type CompletionKind =
  | "right"
  | "near miss"
  | "arbitrary answer"
  | "empty"
  | "truncated"
  | "no answer"
  | "unclosed"
  | "answer in the thought"
  | "second answer"
  | "noise"

export interface CompletionCase {
  readonly kind: CompletionKind
  readonly bytes: Uint8Array
}

/** Completions under `template` to a problem with `continuation`: every outcome of the parse, and near misses. */
export const completion = (template: Template, continuation: Continuation): fc.Arbitrary<CompletionCase> => {
  const thinkEnd = utf8(template.thinkEnd)
  const rightLength = fc.constantFrom(...continuation.boundaries)
  const right = rightLength.map((length) => continuation.bytes.slice(0, length))
  const plain = fc.uint8Array({ min: 0x61, max: 0x7a, maxLength: 8 })
  const thought = fc.oneof(
    plain,
    fc.uint8Array({ maxLength: 8 }),
    textOf(template.thinkEnd, openOf(template), "{", "}")
  )

  const of = (kind: CompletionKind, bytes: fc.Arbitrary<Uint8Array>) => bytes.map((bytes) => ({ kind, bytes }))
  const answered = (answer: fc.Arbitrary<Uint8Array>) =>
    fc.tuple(thought, answer).map(([thought, answer]) => render(template, thought, answer))

  return fc.oneof(
    { weight: 4, arbitrary: of("right", answered(right)) },
    { weight: 3, arbitrary: of("near miss", answered(right.chain(nearMiss))) },
    of("arbitrary answer", answered(fc.uint8Array({ minLength: 1, maxLength: 6 }))),
    of("empty", answered(fc.constant(new Uint8Array(0)))),
    of("truncated", plain),
    of(
      "no answer",
      fc.tuple(thought, plain).map((parts) => concat(parts[0], thinkEnd, parts[1]))
    ),
    of(
      "unclosed",
      fc.tuple(thought, plain).map((parts) => concat(parts[0], thinkEnd, utf8(openOf(template)), parts[1]))
    ),
    of(
      "answer in the thought",
      fc.tuple(answered(right), plain).map((parts) => concat(parts[0], thinkEnd, parts[1]))
    ),
    of(
      "second answer",
      fc.tuple(answered(right), right.chain(nearMiss)).map(([first, second]) => {
        const again = render(template, new Uint8Array(0), second).slice(thinkEnd.length)
        return concat(first, again)
      })
    ),
    of("noise", textOf(template.thinkEnd, openOf(template), "{", "}", " ", "\\", "é"))
  )
}

/** What opens an answer, where the form has an opening marker. */
const openOf = (template: Template): string => (template.answer.form === "braced" ? template.answer.open : "")

/** Short strings over a few words, so that the markers meet each other in every order. */
const textOf = (...words: ReadonlyArray<string>): fc.Arbitrary<Uint8Array> =>
  fc.array(fc.constantFrom(...words), { maxLength: 8 }).map((picked) => utf8(picked.join("")))

/** One byte short, one byte long, one byte changed, padded with a blank, trimmed, doubled. */
const nearMiss = (answer: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.constant(answer.slice(0, -1)),
    fc.nat(255).map((byte) => concat(answer, Uint8Array.of(byte))),
    fc.tuple(fc.nat(answer.length - 1), fc.nat(255)).map(([at, byte]) => answer.with(at, byte)),
    fc.constantFrom(concat(answer, utf8(" ")), concat(utf8(" "), answer), concat(answer, utf8("\n"))),
    fc.constant(answer.filter((byte) => byte !== 0x20)),
    fc.constant(concat(answer, answer))
  )

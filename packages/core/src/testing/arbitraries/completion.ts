import * as fc from "fast-check"
import type { Continuation } from "../../data/NextToken.ts"
import { concat, utf8 } from "../../prompt/bytes.ts"
import { render, type Template } from "../../prompt/Template.ts"
import { nearMiss, textOf } from "./nearMiss.ts"

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

/** A completion before the problem is known. Kept apart so that problem and completion shrink each on its own. */
export type CompletionPlan = (continuation: Continuation) => CompletionCase

/** Completions under `template` to a problem with `continuation`: every outcome of the parse, and near misses. */
export const completion = (template: Template, continuation: Continuation): fc.Arbitrary<CompletionCase> =>
  completionPlan(template).map((plan) => plan(continuation))

/** Completions under `template` to any problem. */
export const completionPlan = (template: Template): fc.Arbitrary<CompletionPlan> => {
  const thinkEnd = utf8(template.thinkEnd)
  const nothing = new Uint8Array(0)
  const markers = [template.thinkEnd, openOf(template), closeOf(template), "{", "}"].filter((marker) => marker !== "")
  const thought = fc.oneof(
    { withCrossShrink: true },
    { weight: 3, arbitrary: textOf("t", " ", "so ", "é", "\n") },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }) },
    { weight: 1, arbitrary: textOf("t", ...markers) }
  )
  const plain = textOf("x", "y", " ", "z")
  const length = fc.nat(63)
  const rightOf = ({ bytes, boundaries }: Continuation, length: number) =>
    bytes.slice(0, boundaries[length % boundaries.length])

  /** Plans of one kind: `parts` are drawn without the problem, `bytes` puts them together once it is there. */
  const plans = <Parts>(
    kind: CompletionKind,
    weight: number,
    parts: { readonly [K in keyof Parts]: fc.Arbitrary<Parts[K]> },
    bytes: (parts: Parts, continuation: Continuation) => Uint8Array
  ) => ({
    weight,
    // fc.record gives optional keys where the constraint asks for them; none does here.
    arbitrary: fc.record(parts).map((parts): CompletionPlan => (continuation) => ({
      kind,
      bytes: bytes(parts as Parts, continuation)
    }))
  })

  return fc.oneof(
    { withCrossShrink: true },
    plans("right", 4, { thought, length }, ({ thought, length }, continuation) =>
      render(template, thought, rightOf(continuation, length))
    ),
    plans("near miss", 6, { thought, length, nearMiss }, ({ thought, length, nearMiss }, continuation) =>
      render(template, thought, nearMiss(rightOf(continuation, length), continuation))
    ),
    plans("arbitrary answer", 1, { thought, answer: fc.uint8Array({ minLength: 1, maxLength: 6 }) }, (parts) =>
      render(template, parts.thought, parts.answer)
    ),
    plans("empty", 1, { thought }, ({ thought }) => render(template, thought, nothing)),
    plans("truncated", 1, { plain, answer: fc.boolean(), length }, ({ plain, answer, length }, continuation) => {
      const inside = answer ? answerOnly(template, rightOf(continuation, length)) : nothing
      return concat(plain, inside)
    }),
    plans("no answer", 1, { thought, length, said: fc.boolean(), plain }, (parts, continuation) =>
      concat(parts.thought, thinkEnd, parts.said ? rightOf(continuation, parts.length) : parts.plain)
    ),
    plans("unclosed", 1, { thought, length }, ({ thought, length }, continuation) =>
      concat(thought, thinkEnd, utf8(openOf(template)), rightOf(continuation, length))
    ),
    plans("answer in the thought", 1, { thought, length, plain }, ({ thought, length, plain }, continuation) =>
      concat(render(template, thought, rightOf(continuation, length)), thinkEnd, plain)
    ),
    plans(
      "second answer",
      2,
      { thought, length, nearMiss, between: plain, order: fc.nat(2) },
      ({ thought, length, nearMiss, between, order }, continuation) => {
        const right = rightOf(continuation, length)
        const wrong = nearMiss(right, continuation)
        const [first, second] = [
          [right, wrong],
          [wrong, right],
          [right, right]
        ][order]
        return concat(render(template, thought, first), between, answerOnly(template, second))
      }
    ),
    plans("noise", 1, { noise: textOf("x", ...markers, " ", "\\", "é") }, ({ noise }) => noise)
  )
}

/** What opens an answer, where the form has an opening marker. */
const openOf = (template: Template): string => (template.answer.form === "braced" ? template.answer.open : "")

/** What closes an answer. */
const closeOf = (template: Template): string => (template.answer.form === "braced" ? "}" : template.answer.end)

/** The answer as it stands after the thought. */
const answerOnly = (template: Template, answer: Uint8Array): Uint8Array =>
  render(template, new Uint8Array(0), answer).slice(utf8(template.thinkEnd).length)

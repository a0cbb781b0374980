import type { Continuation, Problem } from "../data/NextToken.ts"
import { startsWith } from "./bytes.ts"
import { parse, render, type Template } from "./Template.ts"

/**
 * Whether any answer can win here: some prefix of the true continuation that ends on a token boundary comes back from
 * `parse` as it was rendered. In LaTeX the true token is often a brace, which no balanced box can hold; a marker of the
 * template inside the text cannot be answered either.
 */
export const winnable = (template: Template, { bytes, boundaries }: Continuation): boolean =>
  boundaries.some((length) => length > 0 && survives(template, bytes.subarray(0, length)))

/** Positions of a corpus under a template. */
export interface Winnability {
  readonly positions: number
  /** Those at which no answer can win: what any policy loses before it begins. */
  readonly unwinnable: number
  /** Those at which the true next token alone cannot win, though a longer answer may. */
  readonly firstTokenUnwinnable: number
}

export const winnability = (
  template: Template,
  problems: ReadonlyArray<Pick<Problem, "continuation">>
): Winnability => {
  const first = ({ bytes, boundaries }: Continuation) => {
    const length = boundaries.find((boundary) => boundary > 0)
    return length !== undefined && survives(template, bytes.subarray(0, length))
  }
  const count = (holds: (continuation: Continuation) => boolean) =>
    problems.filter(({ continuation }) => holds(continuation)).length
  return {
    positions: problems.length,
    unwinnable: count((continuation) => !winnable(template, continuation)),
    firstTokenUnwinnable: count((continuation) => !first(continuation))
  }
}

const survives = (template: Template, answer: Uint8Array): boolean => {
  const prediction = parse(template, render(template, new Uint8Array(0), answer))
  return (
    prediction.outcome === "answered" &&
    prediction.bytes.length === answer.length &&
    startsWith(prediction.bytes, answer)
  )
}

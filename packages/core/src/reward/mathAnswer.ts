/**
 * Whether the answer to a question is right, however it is written.
 *
 *   r = 1  iff  the prediction states the answer that the true continuation states;  else 0
 *
 * For fine-tuning on question and answer: the context is the question, the continuation the reference (a bare answer, a
 * GSM8K solution with `####`, a MATH solution with `\boxed{}`). Extraction, normalising (after Hendrycks et al.,
 * arXiv 2103.03874), exact rationals and computer algebra stand in `math/`; the order of the steps is that of
 * math-verify.
 *
 * This one reward compares text and not bytes: an answer has many spellings. A text with bytes that are no UTF-8 is wrong.
 */
import * as Effect from "effect/Effect"
import { verifier } from "./Claims.ts"
import { sameAnswer } from "./math/sameAnswer.ts"
import { make, type Reward } from "./Reward.ts"
import { scored } from "./Verdict.ts"

export const mathAnswer: Reward = make(
  "mathAnswer",
  ({ problem, rollouts }) =>
    Effect.forEach(rollouts, ({ prediction }) => {
      if (prediction.outcome !== "answered") return Effect.succeed(verdict(false))
      const [given, truth] = [textOf(prediction.bytes), textOf(problem.continuation.bytes)]
      if (given === undefined || truth === undefined) return Effect.succeed(verdict(false))
      return Effect.map(
        Effect.promise(() => sameAnswer(given, truth)),
        verdict
      )
    }),
  verifier
)

const verdict = (right: boolean) => {
  const value = right ? 1 : 0
  return scored(value, { mathAnswer: value })
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

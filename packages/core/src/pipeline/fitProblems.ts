import { Effect } from "effect"
import { NothingEligible } from "../data/Problems.ts"
import type { Problems } from "../data/Problems.ts"
import type { RunContext } from "./RunContext.ts"

/** Windows cut so short that head, context, tail and the longest completion fit the model's positions together. */
export const fitProblems = (
  problems: Problems,
  { config, frame }: RunContext,
  maxTokens: number
): Effect.Effect<Problems, NothingEligible> => {
  const around = frame.head.length + frame.tail.length + maxTokens
  const room = config.maxPositions - around
  const { minimumContext } = problems.settings
  if (room <= minimumContext) {
    const problem =
      `the model has ${config.maxPositions} positions; the template and ${maxTokens} new tokens take ${around} of them, ` +
      `which leaves ${Math.max(0, room)} for a context of at least ${minimumContext + 1}: ask for fewer tokens, a smaller ` +
      `minimum context or a shorter template`
    return Effect.fail(new NothingEligible({ corpus: problems.corpus.name, problem }))
  }
  const longest = Math.min(problems.settings.maxTokens, room)
  return Effect.succeed({ ...problems, settings: { ...problems.settings, maxTokens: longest } })
}

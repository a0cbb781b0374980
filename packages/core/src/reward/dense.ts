/**
 * How probable the truth is after the thought.
 *
 *   dense             r = p(x_t .. x_t+n-1 | x_<t, thought) = Π_i p(x_t+i | x_<t, thought, x_t .. x_t+i-1)
 *   conditionalDense  r = dense where some rollout of the group wins under prefixMatch;  else -penalty
 *
 * Source: Reinforcement Pre-Training, arXiv 2506.08007, the rewards it compares (dense, conditional dense).
 *
 * Where we are explicit: the policy itself judges, at temperature 1, reading what opens an answer after the thought, and
 * the prediction is not looked at. A thought that never ended gets 0.
 */
import * as Effect from "effect/Effect"
import { perGroup } from "./combine.ts"
import { prefixMatch } from "./prefixMatch.ts"
import { make, type Reward } from "./Reward.ts"
import { Truth, type TruthError } from "./Truth.ts"
import { scored } from "./Verdict.ts"

/** n: how many true tokens have to be probable, default 1. */
export interface TruthSettings {
  readonly tokens?: number
}

export const dense = (settings: TruthSettings = {}): Reward<TruthError, Truth> => {
  const tokens = countOf(settings)
  return make(
    "dense",
    (group) =>
      Effect.gen(function* () {
        const logprobs = yield* (yield* Truth).afterThought(group, tokens)
        return group.rollouts.map(({ prediction }, i) => {
          const value = prediction.outcome === "truncated" ? 0 : Math.exp(Math.min(0, logprobs[i]))
          return scored(value, { dense: value })
        })
      }),
    { bounds: { low: 0, high: 1 }, needsModel: true, nothingFor: ["truncated"] }
  )
}

/** `penalty` >= 0, default 0: what the rollouts of a group without a winner get, all alike. */
export const conditionalDense = ({
  penalty = 0,
  ...settings
}: TruthSettings & { readonly penalty?: number } = {}): Reward<TruthError, Truth> => ({
  ...perGroup(prefixMatch, dense(settings), 0 - penalty),
  name: "conditionalDense"
})

/** Throws RangeError unless `tokens` is a whole number of at least 1. */
export const countOf = ({ tokens = 1 }: TruthSettings): number => {
  if (Number.isSafeInteger(tokens) && tokens >= 1) return tokens
  throw new RangeError(`tokens is ${tokens}: a whole number of at least 1 was expected`)
}

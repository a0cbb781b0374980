/**
 * What the thought adds to the likelihood of the truth.
 *
 *   r = log p(x_t .. x_t+n-1 | x_<t, thought) - log p_EMA(x_t .. x_t+n-1 | x_<t)      nats
 *
 * p_EMA is the baseline that does not think; its weights are an exponential moving average of the policy's. Source: RLP,
 * arXiv 2510.01265, section 2.
 *
 * Where we depart: the gain is cut to ± limit, because one improbable token would outweigh a whole batch. A thought that
 * never ended gains nothing: it gets its gain where that is negative, else 0.
 */
import * as Effect from "effect/Effect"
import { countOf, type TruthSettings } from "./dense.ts"
import { make, type Reward } from "./Reward.ts"
import { Truth, type TruthError } from "./Truth.ts"
import { scored } from "./Verdict.ts"

/** `limit` > 0, in nats, default 10. */
export const informationGain = ({ limit = 10, ...settings }: TruthSettings & { readonly limit?: number } = {}): Reward<
  TruthError,
  Truth
> => {
  const tokens = countOf(settings)
  if (!(limit > 0 && limit < Infinity)) throw new RangeError(`limit is ${limit}: a positive number was expected`)
  return make(
    "informationGain",
    (group) =>
      Effect.gen(function* () {
        const truth = yield* Truth
        const baseline = yield* truth.baseline(group.problem, tokens)
        const logprobs = yield* truth.afterThought(group, tokens)
        return group.rollouts.map(({ prediction }, i) => {
          const most = prediction.outcome === "truncated" ? 0 : limit
          const value = Math.min(most, Math.max(-limit, logprobs[i] - baseline))
          return scored(value, { informationGain: value })
        })
      }),
    { bounds: { low: -limit, high: limit }, needsModel: true, nothingFor: ["truncated"] }
  )
}

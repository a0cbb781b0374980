/**
 * The paper's reward with a small price on every failure.
 *
 *   r = 1  iff  y wins under prefixMatch;  else -penalty
 *
 * Source: Reinforcement Pre-Training, arXiv 2506.08007, the rewards it compares. A group in which nobody is right has
 * equal rewards either way, so with advantages relative to the group this moves nothing that prefixMatch does not; it
 * differs where advantages are not centred or the value joins a sum.
 */
import { prefixVerifier } from "./Claims.ts"
import { matchesPrefix } from "./prefixMatch.ts"
import { pure, type Reward } from "./Reward.ts"

/** `penalty` >= 0. */
export const uniformPenalty = ({ penalty = 0.1 }: { readonly penalty?: number } = {}): Reward => {
  if (!(penalty >= 0 && penalty < Infinity)) throw new RangeError(`penalty is ${penalty}: it must be at least 0`)
  return pure(
    "uniformPenalty",
    ({ prediction }, { continuation }) =>
      prediction.outcome === "answered" && matchesPrefix(prediction.bytes, continuation) ? 1 : 0 - penalty,
    { ...prefixVerifier, bounds: { low: -penalty, high: 1 } }
  )
}

/**
 * The clipped policy loss of `loss.ts` as a tensor program (formula, sources and departures stand there). Sums over the
 * tokens at hand; the mean is over `tokenCount`, the tokens of the whole batch, so micro-batches add up exactly.
 */
import type { Tensor } from "../tensor/Tensor.ts"
import type { Behaviour, Current, Mask } from "./Logprobs.ts"
import type { Loss } from "./loss.ts"

export interface PolicyTokens {
  /** f32 [D,B,N]: current policy, at the sampling temperature */
  readonly logprobs: Current<Tensor>
  /** f32 [D,B,N]: the policy that sampled, at the same temperature */
  readonly behaviourLogprobs: Behaviour<Tensor>
  /** f32 [D,B] */
  readonly advantages: Tensor
  /** f32 [D,B,N]: 1 on completion tokens */
  readonly mask: Mask<Tensor>
  /** f32 []: completion tokens of the whole batch */
  readonly tokenCount: Tensor
}

/** Sums over this micro-batch; those of all, divided by the tokens they were taken over, are the metrics of the step. */
export interface PolicyLoss {
  readonly loss: Tensor
  /** Σ k3 estimates of KL(behaviour || current), nats */
  readonly klSum: Tensor
  /** tokens whose gradient clipping cut off */
  readonly cutSum: Tensor
  readonly ratioSum: Tensor
  /** max |log p - log q| over the tokens: with fresh rollouts, how far sampler and trainer disagree */
  readonly logprobGap: Tensor
}

export const clippedLoss = (settings: Loss, tokens: PolicyTokens): PolicyLoss => {
  const { behaviourLogprobs, mask, tokenCount } = tokens
  const counted = mask.greater(0)
  // Off the completions both log-probabilities are arbitrary: their difference is made 0 before anything is raised.
  const difference = counted.select(tokens.logprobs.sub(behaviourLogprobs), 0)
  const ratio = difference.exp()
  const advantage = tokens.advantages.expandDims(2)
  const free = ratio.mul(advantage)
  const limited = ratio
    .maximum(1 - settings.low)
    .minimum(1 + settings.high)
    .mul(advantage)
  const objective = limited.less(free).select(limited, free).mul(mask)
  const cut = limited.less(free).cast("f32").mul(mask)
  const kl = ratio.sub(1).sub(difference).mul(mask)
  return {
    loss: objective.sum().neg().div(tokenCount),
    klSum: kl.stopGradient().sum(),
    cutSum: cut.sum(),
    ratioSum: ratio.mul(mask).stopGradient().sum(),
    logprobGap: difference.abs().max()
  }
}

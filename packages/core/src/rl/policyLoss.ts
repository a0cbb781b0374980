/**
 * The policy losses of `loss.ts` as tensor programs (formula, sources and departures stand there). Sums over the
 * tokens at hand; the mean is over `tokenCount`, the tokens of the whole batch, so micro-batches add up exactly.
 */
import type { Tensor } from "../tensor/Tensor.ts"
import type { Behaviour, Current, Mask } from "./Logprobs.ts"
import type { Clipped, Loss, Truncated } from "./loss.ts"

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
  /** tokens whose gradient clipping cut off, or whose weight was truncated */
  readonly cutSum: Tensor
  readonly ratioSum: Tensor
  /** max |log p - log q| over the tokens: with fresh rollouts, how far sampler and trainer disagree */
  readonly logprobGap: Tensor
}

export const policyLoss = (settings: Loss, tokens: PolicyTokens): PolicyLoss => {
  const { behaviourLogprobs, mask, tokenCount } = tokens
  const counted = mask.greater(0)
  // Off the completions both log-probabilities are arbitrary: their difference is made 0 before anything is raised.
  const difference = counted.select(tokens.logprobs.sub(behaviourLogprobs), 0)
  const ratio = difference.exp()
  const advantage = tokens.advantages.expandDims(2)
  const { objective, cut } =
    settings._tag === "Truncated"
      ? truncated(settings, ratio, difference, advantage)
      : clipped(settings, ratio, advantage)
  const kl = ratio.sub(1).sub(difference).mul(mask)
  return {
    loss: objective.mul(mask).sum().neg().div(tokenCount),
    klSum: kl.stopGradient().sum(),
    cutSum: cut.cast("f32").mul(mask).sum(),
    ratioSum: ratio.mul(mask).stopGradient().sum(),
    logprobGap: difference.abs().max()
  }
}

const clipped = ({ low, high }: Clipped, ratio: Tensor, advantage: Tensor) => {
  const free = ratio.mul(advantage)
  const limited = ratio
    .maximum(1 - low)
    .minimum(1 + high)
    .mul(advantage)
  const cut = limited.less(free)
  return { objective: cut.select(limited, free), cut }
}

const truncated = ({ cap }: Truncated, ratio: Tensor, difference: Tensor, advantage: Tensor) => ({
  objective: ratio
    .minimum(cap)
    .add(difference.sub(Math.log(cap)).maximum(0).mul(cap))
    .mul(advantage),
  cut: ratio.greater(cap)
})

/**
 * Policy losses, token by token:
 *
 *   Clipped     loss = - (1 / N) Σ_tokens min( r A, clip(r, 1 - low, 1 + high) A ),   r = exp(log p - log q)
 *   Truncated   loss = - (1 / N) Σ_tokens g(r) A,   g(r) = r up to the cap, and cap (1 + log(r / cap)) beyond
 *
 * p is the current policy, q the behaviour policy, A the advantage of the rollout, N the number of completion tokens of
 * the whole batch. Sources: PPO, arXiv 1707.06347, equation 7 (clip); DAPO, arXiv 2503.14476, equations 8-12 (low and
 * high apart, mean over tokens and not over rollouts). No KL term and no entropy bonus, as in RPT.
 *
 * The derivative of Clipped in log p is - r A / N where the first argument is the smaller, and 0 where clipping cut the token
 * off; that of Truncated is - min(r, cap) A / N everywhere: truncated importance sampling. Both are the policy gradient where
 * p = q. Truncated is for rollouts of an older policy: all of them teach, with bounded weights. Sources: IMPALA, arXiv
 * 1802.01561, section 4.2 (the weights); CISPO, arXiv 2506.13585, equation 4, which has the same gradient but for a lower
 * bound, and writes it with a stopped gradient where we write g, so that the loss is one.
 *
 * This is the definition on plain numbers; the tensor program that trains is tested against it.
 */
import type { Batch } from "./Batch.ts"
import * as importance from "./importance.ts"
import { k3, ratio } from "./importance.ts"
import { at, type Current } from "./Logprobs.ts"

/** Which loss, as data. */
export type Loss = Clipped | Truncated

export interface Truncated {
  readonly _tag: "Truncated"
  /** cap >= 1: importance counts up to this. */
  readonly cap: number
}

export interface Clipped {
  readonly _tag: "Clipped"
  /** 0 <= low < 1: the ratio counts down to 1 - low. */
  readonly low: number
  /** high >= 0: and up to 1 + high. */
  readonly high: number
}

/** PPO's clip is `{ low: 0.2, high: 0.2 }`, DAPO's clip-higher `{ low: 0.2, high: 0.28 }`. */
export const clipped = (range: { readonly low: number; readonly high: number }): Loss => {
  if (!(range.low >= 0 && range.low < 1)) throw new RangeError(`low is ${range.low}: it must be at least 0, below 1`)
  if (!(range.high >= 0)) throw new RangeError(`high is ${range.high}: it must be at least 0`)
  return { _tag: "Clipped", ...range }
}

/** For rollouts of an older policy. */
export const truncated = ({ cap }: { readonly cap: number }): Loss => {
  if (!(cap >= 1)) throw new RangeError(`cap is ${cap}: it must be at least 1`)
  return { _tag: "Truncated", cap }
}

export interface LossMetrics {
  /** Mean k3 estimate (nats) of KL(behaviour || current) per token. */
  readonly approx_kl: number
  /** Share of tokens whose gradient clipping cut off, or whose weight was truncated. */
  readonly clipfrac: number
  readonly "ratio/mean": number
}

export interface LossResult {
  readonly value: number
  /** d value / d logprobs, [D, B, L]; 0 wherever the mask is. */
  readonly gradient: Float64Array
  readonly metrics: LossMetrics
}

/**
 * Value, gradient and metrics of `loss`.
 *
 * @param logprobs [D, B, L] log-probability (nats) of each token of `batch.branches.tokens` under the current policy at
 *   the sampling temperature; read where the mask is 1 only
 * @param tokenCount N; give the whole batch's when `batch` is one micro-batch of it: value, gradient and metrics are
 *   then shares that add up to those of the whole
 */
export const reference = (
  loss: Loss,
  batch: Batch,
  logprobs: Current<Float32Array | Float64Array>,
  tokenCount: number = batch.tokenCount
): LossResult => {
  const { length, mask } = batch.branches
  const gradient = new Float64Array(logprobs.length)
  let value = 0
  let kl = 0
  let cut = 0
  let ratios = 0
  for (let i = 0; i < gradient.length; i++) {
    if (mask[i] === 0) continue
    const advantage = batch.advantages[Math.floor(i / length)]
    const [logprob, behaviour] = [at(logprobs, i), at(batch.behaviourLogprobs, i)]
    const r = ratio(logprob, behaviour)
    if (loss._tag === "Truncated") {
      const weight = importance.truncated(r, loss.cap)
      value -= ((weight + loss.cap * Math.max(0, Math.log(r / loss.cap))) * advantage) / tokenCount
      gradient[i] = (-weight * advantage) / tokenCount
      if (r > loss.cap) cut++
    } else {
      const free = r * advantage
      const limited = Math.min(1 + loss.high, Math.max(1 - loss.low, r)) * advantage
      value -= Math.min(free, limited) / tokenCount
      if (free <= limited) gradient[i] = -free / tokenCount
      if (free > limited) cut++
    }
    kl += k3(logprob, behaviour)
    ratios += r
  }
  const n = Math.max(1, tokenCount)
  return { value, gradient, metrics: { approx_kl: kl / n, clipfrac: cut / n, "ratio/mean": ratios / n } }
}

/**
 * Importance of a token that another policy sampled. With x drawn from the behaviour policy q and p the current one:
 *
 *   ratio  r = p(x) / q(x) = exp(log p - log q)
 *   truncated(r, cap) = min(r, cap)
 *   k1 = -log r,   k2 = (log r)^2 / 2,   k3 = (r - 1) - log r
 *
 * The truncated ratio weighs what an older policy sampled; the cap bounds its variance, and biases towards q where r is larger.
 * Source: IMPALA, arXiv 1802.01561, section 4.1. k1, k2, k3 estimate KL(q || p); k1 and k3 without bias, k3 is never
 * negative. Source: J. Schulman, "Approximating KL divergence" (2020).
 */
import type { Behaviour, Current } from "./Logprobs.ts"

export const ratio = (logprob: Current<number>, behaviourLogprob: Behaviour<number>): number =>
  Math.exp(logprob - behaviourLogprob)

export const truncated = (ratio: number, cap: number): number => Math.min(ratio, cap)

export const k1 = (logprob: Current<number>, behaviourLogprob: Behaviour<number>): number => behaviourLogprob - logprob

export const k2 = (logprob: Current<number>, behaviourLogprob: Behaviour<number>): number =>
  (logprob - behaviourLogprob) ** 2 / 2

// expm1 keeps k3 >= 0 for tiny differences, where exp(d) - 1 - d is all rounding.
export const k3 = (logprob: Current<number>, behaviourLogprob: Behaviour<number>): number =>
  Math.expm1(logprob - behaviourLogprob) - (logprob - behaviourLogprob)

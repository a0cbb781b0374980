/**
 * Prices on how something is said, to be added to a reward for what is said. They never pay: their values are 0 at best.
 *
 *   overlong     r = 0                           |o| <= limit - buffer
 *                    (limit - buffer - |o|) / buffer     up to limit
 *                    -1                          beyond
 *   repetition   r = - min(1, repeated / limit)
 *
 * |o| is the number of completion tokens; `repeated` counts the n-grams of completion tokens that stood in the completion
 * before. Sources: DAPO, arXiv 2503.14476, equation 13 (soft overlong punishment); "Demystifying Long Chain-of-Thought
 * Reasoning", arXiv 2502.03373, section 5 (n-gram repetition penalty).
 *
 * Where we depart: repetition is an absolute count, not a share, because a share is diluted by more text.
 */
import { outcomes } from "../prompt/Prediction.ts"
import { type Claims, noGains } from "./Claims.ts"
import { pure, type Reward } from "./Reward.ts"

/** `limit` tokens are allowed at most, the last `buffer` of them at a rising price. */
export const overlong = ({ limit, buffer }: { readonly limit: number; readonly buffer: number }): Reward => {
  check("limit", limit)
  check("buffer", buffer)
  if (buffer > limit) throw new RangeError(`buffer is ${buffer}: at most limit (${limit}) was expected`)
  return pure(
    "overlong",
    ({ rollout }) => Math.max(-1, Math.min(0, (limit - buffer - rollout.completion.tokens.length) / buffer)),
    price
  )
}

/** `n`-grams, default 4; `limit` of them said again cost 1, default 64. */
export const repetition = ({ n = 4, limit = 64 }: { readonly n?: number; readonly limit?: number } = {}): Reward => {
  check("n", n)
  check("limit", limit)
  return pure(
    "repetition",
    ({ rollout }) => 0 - Math.min(1, repeatedNgrams(rollout.completion.tokens, n) / limit),
    price
  )
}

/** n-grams that stood before in `tokens`. */
export const repeatedNgrams = (tokens: Int32Array, n: number): number => {
  const count = Math.max(0, tokens.length - n + 1)
  return count - new Set(Array.from({ length: count }, (_, i) => tokens.subarray(i, i + n).join())).size
}

const price: Partial<Claims> = { bounds: { low: -1, high: 0 }, nothingFor: outcomes, noGain: noGains }

const check = (name: string, value: number): void => {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name} is ${value}: a whole number of at least 1 was expected`)
  }
}

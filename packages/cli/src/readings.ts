/** What a model's reading of some tokens says, as plain numbers. */
import { Difficulty } from "@foretoken/core"
import type { HostScores } from "@foretoken/core"

/** `logprobs` is one shorter than the others: after the last token nothing is known. Nats. */
export interface Reading {
  readonly ids: ReadonlyArray<number>
  readonly logprobs: ReadonlyArray<number>
  readonly argmax: ReadonlyArray<number>
  readonly entropy: ReadonlyArray<number>
  /** Of the 16 likeliest tokens: their probabilities as they are, and made to add up to 1. */
  readonly entropyTop16: { readonly raw: ReadonlyArray<number>; readonly renormalised: ReadonlyArray<number> }
}

/** Sums over scored tokens, so that readings add up. */
export interface Totals {
  readonly logprob: number
  readonly right: number
  readonly tokens: number
}

export const noTotals: Totals = { logprob: 0, right: 0, tokens: 0 }

/** Row `row` of scores of rows of `length` tokens, of which `ids` are the row's own. */
export const readingOf = (scores: HostScores, row: number, length: number, ids: Int32Array): Reading => {
  const at = row * length
  const { topSize } = scores
  const top16 = (kind: Difficulty.Entropy) =>
    Array.from(ids, (_, i) => Difficulty.entropy(scores.top.subarray((at + i) * topSize, (at + i + 1) * topSize), kind))
  return {
    ids: Array.from(ids),
    logprobs: Array.from(scores.logprobs.subarray(at, at + ids.length - 1)),
    argmax: Array.from(scores.argmax.subarray(at, at + ids.length)),
    entropy: Array.from(scores.entropy.subarray(at, at + ids.length)),
    entropyTop16: {
      raw: top16(Difficulty.topK(16, { renormalised: false })),
      renormalised: top16(Difficulty.topK(16, { renormalised: true }))
    }
  }
}

/** The totals over the row's tokens from index `from` on; a token that nothing precedes is never scored. */
export const totalsOf = (scores: HostScores, row: number, length: number, ids: Int32Array, from: number): Totals => {
  let { logprob, right, tokens } = noTotals
  for (let i = Math.max(1, from); i < ids.length; i++) {
    logprob += scores.logprobs[row * length + i - 1]
    if (scores.argmax[row * length + i - 1] === ids[i]) right++
    tokens++
  }
  return { logprob, right, tokens }
}

export const add = (a: Totals, b: Totals): Totals => ({
  logprob: a.logprob + b.logprob,
  right: a.right + b.right,
  tokens: a.tokens + b.tokens
})

/** Mean negative log-probability (nats), share of tokens that were the argmax, and how many were scored. */
export const summary = ({ logprob, right, tokens }: Totals) => ({
  nll: -logprob / tokens,
  accuracy: right / tokens,
  tokens
})

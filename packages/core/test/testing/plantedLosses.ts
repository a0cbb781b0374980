/** An advantage and losses as users write them, each wrong in one line, beside the one that is right. */
import type { Advantage } from "../../src/rl/advantage.ts"
import type { TestedLoss } from "../../src/testing/index.ts"
import type { Planted } from "./plantedRewards.ts"

const mean = (xs: ReadonlyArray<number>) => xs.reduce((sum, x) => sum + x, 0) / xs.length

const normalised = (name: string, divisor: (std: number) => number): Advantage => ({
  name,
  scaleInvariant: true,
  of: (rewards) => {
    const centre = mean(rewards)
    const std = Math.sqrt(mean(rewards.map((r) => (r - centre) ** 2)))
    return rewards.map((r) => (divisor(std) === 0 ? 0 : (r - centre) / divisor(std)))
  }
})

export const plantedAdvantage: Planted<Advantage> = {
  bug: "the std of equal rewards is a divisor",
  law: "is exactly zero for equal rewards",
  wrong: {
    name: "zScore",
    scaleInvariant: true,
    of: (rewards) => {
      const centre = mean(rewards)
      const std = Math.sqrt(mean(rewards.map((r) => (r - centre) ** 2)))
      return rewards.map((r) => (r - centre) / std)
    }
  },
  right: normalised("guarded", (std) => (std < 1e-9 ? 0 : std)),
  explains: [/rewards +\[(\S+)(, \1)*\]/, /advantages +\[NaN/]
}

/** REINFORCE with importance ratios, -Σ weight · ratio · A, with a weight per token of row `row` and position `i`. */
const ratioLoss = (
  name: string,
  weight: (...given: Parameters<TestedLoss["of"]>) => (row: number, position: number) => number
): TestedLoss => ({
  name,
  meanOver: "tokens",
  of: (batch, logprobs, whole) => {
    const { length } = batch.branches
    const weightOf = weight(batch, logprobs, whole)
    const gradient = new Float64Array(logprobs.length)
    for (let i = 0; i < gradient.length; i++) {
      const row = Math.floor(i / length)
      const w = weightOf(row, i % length)
      if (w !== 0) gradient[i] = -w * Math.exp(logprobs[i] - batch.behaviourLogprobs[i]) * batch.advantages[row]
    }
    return { value: gradient.reduce((sum, g) => sum + g, 0), gradient }
  }
})

const right = ratioLoss("tokenMean", (batch, _, { tokens }) => (row, position) => {
  const { lengths, tailLength } = batch.branches
  return position >= tailLength && position < lengths[row] ? 1 / tokens : 0
})

export const plantedLosses: ReadonlyArray<Planted<TestedLoss>> = [
  {
    bug: "padding is counted",
    law: "does not depend on padding",
    wrong: ratioLoss("paddedMean", (batch) => (row, position) => {
      const { lengths, tailLength, tokens } = batch.branches
      return position >= tailLength && position < lengths[row] ? 1 / tokens.length : 0
    }),
    right,
    explains: [/has the gradient \S+, but \S+ padded to \d documents of \d rows of \d tokens/]
  },
  {
    bug: "the mask is where the token is not the padding token, which is also the token that ends a completion",
    law: "counts a token whatever its id",
    wrong: ratioLoss("maskFromTokens", (batch, _, { tokens }) => (row, position) => {
      const { branches } = batch
      const token = branches.tokens[row * branches.length + position]
      return position >= branches.tailLength && token !== 0 ? 1 / tokens : 0
    }),
    right,
    explains: [/with 7 added to every token id/, /padded with token 0/, /tokens +0/, /gradient +0/]
  },
  {
    bug: "a token of a long rollout counts less",
    law: "on policy, where every ratio is 1, is the policy gradient",
    wrong: ratioLoss("lengthBias", (batch, _, { rollouts }) => (row, position) => {
      const { lengths, tailLength } = batch.branches
      return position >= tailLength && position < lengths[row] ? 1 / rollouts / (lengths[row] - tailLength) : 0
    }),
    right,
    explains: [/token 0 of rollout \S+ has the gradient \S+ where p = q, and -A \/ \(\d tokens\) = \S+ was expected/]
  }
]

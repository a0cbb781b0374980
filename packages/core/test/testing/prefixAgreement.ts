import { Effect } from "effect"
import { boxed, compact } from "../../src/prompt/Template.ts"
import type { Reward } from "../../src/reward/index.ts"
import { arbitraries, law } from "../../src/testing/index.ts"
import { type Markup, prefixOracle } from "./prefixOracle.ts"

/** How often a reward and the oracle were asked the same, and how often that was worth 1. */
export interface Agreement {
  readonly cases: number
  readonly wins: number
}

/** Compares them on at least `atLeast` completions of generated groups; rejects with the first on which they differ. */
export const agreement = async (reward: Reward, markup: Markup, atLeast: number): Promise<Agreement> => {
  const template = { boxed, compact }[markup]
  const tally = { cases: 0, wins: 0 }
  const agrees = law(
    `${reward.name} is what the paper says (${markup})`,
    arbitraries.groupCase(template),
    ({ table, group }) =>
      Effect.map(reward.score(group), (verdicts) => {
        const { document, anchor } = group.problem
        const tokens = Array.from(document.tokens.subarray(anchor), (token) => table[token])
        for (const [i, { rollout }] of group.rollouts.entries()) {
          const expected = prefixOracle(markup, tokens, rollout.bytes)
          const verdict = verdicts[i]
          if (verdict._tag !== "Scored" || verdict.value !== expected) {
            return `rollout ${i} is worth ${expected}, and got ${JSON.stringify(verdict)}`
          }
          tally.cases++
          tally.wins += expected
        }
        return undefined
      }),
    { runs: Math.ceil(atLeast / 4) }
  )
  while (tally.cases < atLeast) await agrees.check()
  return tally
}

import { describe, expect, test } from "vitest"
import { currentLogprobs, maskTensor } from "../../src/rl/Logprobs.ts"
import * as Loss from "../../src/rl/loss.ts"
import { laws, type TestedLoss } from "../../src/testing/index.ts"

const reference =
  (loss: Loss.Loss): TestedLoss["of"] =>
  (batch, logprobs, { tokens }) =>
    Loss.reference(loss, batch, logprobs, tokens)
const clipped = reference(Loss.clipped({ low: 0.2, high: 0.28 }))

/** GSPO's shape: one ratio per rollout, the mean over rollouts, no gradient of its own. */
const sequenceRatio: TestedLoss = {
  name: "sequence ratio",
  meanOver: "rollouts",
  of: ({ branches, behaviourLogprobs, advantages }, logprobs, { rollouts }) => {
    let value = 0
    for (const [row, end] of branches.lengths.entries()) {
      const count = end - branches.tailLength
      if (count <= 0) continue
      let change = 0
      for (let i = branches.tailLength; i < end; i++) {
        const at = row * branches.length + i
        change += logprobs[at] - behaviourLogprobs[at]
      }
      value -= (Math.exp(change / count) * advantages[row]) / rollouts
    }
    return { value }
  }
}

describe("laws.loss hold of", () => {
  for (const loss of [
    { name: "the clipped loss", meanOver: "tokens", of: clipped } as const,
    { name: "PPO's clip", meanOver: "tokens", of: reference(Loss.clipped({ low: 0.2, high: 0.2 })) } as const,
    { name: "the truncated loss", meanOver: "tokens", of: reference(Loss.truncated({ cap: 2 })) } as const,
    sequenceRatio
  ]) {
    for (const { name, check } of laws.loss(loss)) test(name, check)
  }
})

describe("laws.loss", () => {
  /** The clipped loss with one thing wrong. */
  const spoilt = (spoil: TestedLoss["of"]): TestedLoss => ({ name: "spoilt", meanOver: "tokens", of: spoil })

  const sabotage: ReadonlyArray<readonly [law: string, loss: TestedLoss, says: RegExp]> = [
    [
      "gives a finite value and gradient",
      spoilt((batch, logprobs, whole) => {
        const { value, gradient } = clipped(batch, logprobs, whole)
        return { value: value / batch.advantages[0], gradient: gradient! }
      }),
      /the loss is (NaN|-?Infinity)(.*\n)*.*advantage 0/
    ],
    [
      "has the gradient that finite differences find",
      spoilt((batch, logprobs, whole) => {
        const { value, gradient } = clipped(batch, logprobs, whole)
        return { value, gradient: Array.from(gradient!, (g) => -g) }
      }),
      /token 0 of rollout 0\.0 has the gradient \S+, and finite differences find \S+/
    ],
    [
      "reads nothing off the completions",
      spoilt((batch, logprobs, whole) => {
        const { value, gradient } = clipped(batch, logprobs, whole)
        return { value: value + 0 * logprobs[0], gradient: gradient! }
      }),
      /the loss is \S+, but NaN with log-probabilities of (NaN|-Infinity) on the tail and the padding/
    ],
    [
      "reads nothing off the completions",
      spoilt((batch, logprobs, whole) => {
        const { value, gradient } = clipped(batch, logprobs, whole)
        return { value, gradient: Array.from(gradient!).with(0, 1) }
      }),
      /on the tail and the padding, these have a gradient of 1/
    ],
    [
      "does not depend on padding",
      spoilt((batch, logprobs) => clipped(batch, logprobs, { tokens: logprobs.length, rollouts: 1 })),
      /padded to \d documents of \d rows of \d+ tokens/
    ],
    [
      "counts a token whatever its id",
      spoilt((batch, logprobs, whole) => {
        const mask = batch.branches.mask.map((m, i) => (batch.branches.tokens[i] === 0 ? 0 : m))
        return clipped({ ...batch, branches: { ...batch.branches, mask: maskTensor(mask) } }, logprobs, whole)
      }),
      /with 7 added to every token id/
    ],
    [
      "does not depend on the order of the batch",
      spoilt((batch, logprobs, whole) => {
        const advantages = batch.advantages.map((a, row) => (row === 0 ? 2 * a : a))
        return clipped({ ...batch, advantages }, logprobs, whole)
      }),
      /with groups and rollouts in reverse/
    ],
    [
      "adds up over micro-batches",
      spoilt((batch, logprobs) => clipped(batch, logprobs, { tokens: Math.max(1, batch.tokenCount), rollouts: 1 })),
      /cut into micro-batches of \d and \d rollouts/
    ],
    [
      "on policy, where every ratio is 1, is the policy gradient",
      spoilt((batch, logprobs, whole) => {
        const older = logprobs.map((logprob) => logprob + 0.05)
        return clipped(batch, currentLogprobs(older), whole)
      }),
      /has the gradient \S+ where p = q, and -A \/ \(\d+ tokens\) = \S+ was expected/
    ]
  ]

  test.each(sabotage)("%s: says what is wrong with one that does not", async (law, loss, says) => {
    const found = laws.loss(loss, { seed: 1 }).find(({ name }) => name === `spoilt ${law}`)
    await expect(found!.check()).rejects.toThrow(says)
  })
})

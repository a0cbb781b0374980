import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { pack } from "../../src/rl/Batch.ts"
import * as Loss from "../../src/rl/loss.ts"
import type { Data, Objective } from "../../src/rl/objective.ts"
import { nextToken, policy, supervised } from "../../src/rl/objective.ts"
import { behaviourLogprobs, currentLogprobs } from "../../src/rl/Logprobs.ts"
import { trunkLogprobs } from "../../src/model/tokenLogprobs.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { encode } from "../../src/model/Transformer.ts"
import { scored } from "../../src/reward/Verdict.ts"
import type { ReferenceValue } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { arbitraries } from "../../src/testing/index.ts"
import { compute, configs, float, int, randomWeights } from "../model/numbers.ts"

const config = { ...fc.sample(configs, { numRuns: 1, seed: 8 })[0], layers: 1 }
const weights = randomWeights(config, 4)

const minimise = (objective: Objective, data: Readonly<Record<string, ReferenceValue>>) => {
  const { loss, sums, maxima } = compute(
    (inputs: { weights: WeightsOf<Tensor>; data: Data }) => {
      const { loss, sums, maxima } = objective(config, inputs.weights, inputs.data)
      return { loss, sums, maxima }
    },
    { weights, data }
  )
  const number = ([name, { data }]: readonly [string, ReferenceValue]) => [name, data[0]]
  return {
    loss: loss.data[0],
    sums: Object.fromEntries(Object.entries(sums).map(number)),
    maxima: Object.fromEntries(Object.entries(maxima).map(number))
  }
}

/** Log-probability of each token of a text but the first. */
const logprobsOf = (text: ReadonlyArray<number>): ReadonlyArray<number> => {
  const { logprobs } = compute(
    ({ weights, tokens }: { weights: WeightsOf<Tensor>; tokens: Tensor }) => ({
      logprobs: trunkLogprobs(config, weights, encode(config, weights, tokens, []), tokens)
    }),
    { weights, tokens: int([1, text.length], text) }
  )
  return Array.from(logprobs.data)
}
const sum = (xs: ReadonlyArray<number>) => xs.reduce((total, x) => total + x, 0)

describe("objectives", () => {
  it("next-token prediction weighs each token by its own weight, the padding not at all", () => {
    const { loss } = minimise(nextToken, {
      trunk: int([2, 4], [1, 2, 3, 4, 5, 6, 9, 9]),
      trunkWeights: float([2, 4], [0, 0.5, 0, 2, 0, 1, 0, 0])
    })
    const [a, b] = [logprobsOf([1, 2, 3, 4]), logprobsOf([5, 6])]
    expect(loss).toBeCloseTo(-(0.5 * a[0] + 2 * a[2] + b[0]), 9)
  })

  it("supervised traces weigh branch tokens given the context before their anchor, beside the text", () => {
    const { loss, sums } = minimise(supervised, {
      trunk: int([1, 4], [1, 2, 3, 4]),
      trunkWeights: float([1, 4], [0, 0, 0.25, 0]),
      branches: int([1, 2, 3], [7, 8, 9, 7, 5, 0]),
      anchors: int([1, 2], [2, 3]),
      branchWeights: float([1, 2, 3], [0, 1, 2, 0, 3, 0])
    })
    const [first, second] = [logprobsOf([1, 2, 7, 8, 9]), logprobsOf([1, 2, 3, 7, 5])]
    const branches = -(first[2] + 2 * first[3] + 3 * second[3])
    const trunk = -0.25 * logprobsOf([1, 2, 3])[1]
    expect(sums["loss/branches"]).toBeCloseTo(branches, 9)
    expect(sums["loss/trunk"]).toBeCloseTo(trunk, 9)
    expect(loss).toBeCloseTo(branches + trunk, 9)
  })

  it("the policy loss is that of its definition on the log-probabilities of a packed batch", () => {
    const frame = { head: Int32Array.of(1), tail: Int32Array.of(8, 9) }
    const document = { id: "d", tokens: Int32Array.of(2, 3, 4) }
    const continuation = { bytes: new Uint8Array(0), boundaries: [] }
    const completions = [
      { anchor: 1, tokens: [5, 6, 7], advantage: 1 },
      { anchor: 3, tokens: [10], advantage: -0.5 }
    ]
    const texts = completions.map(({ anchor, tokens }) => [1, ...document.tokens.subarray(0, anchor), 8, 9, ...tokens])
    const current = completions.map(({ tokens }, i) => logprobsOf(texts[i]).slice(-tokens.length))
    const groups = completions.map(({ anchor, tokens, advantage }, i) => {
      const problem = { id: `d@${anchor}`, document, anchor, continuation }
      const rollout = {
        id: `${i}`,
        problem,
        index: 0,
        policyVersion: arbitraries.policyVersion,
        completion: { tokens: Int32Array.from(tokens), ended: "length" as const },
        // As if sampled by a policy that gave every second token less.
        behaviourLogprobs: behaviourLogprobs(Float32Array.from(current[i], (logprob, n) => logprob - 0.4 * (n % 2))),
        temperature: 1,
        bytes: new Uint8Array(0)
      }
      const prediction = { outcome: "truncated" as const }
      return { problem, excluded: 0, rollouts: [{ rollout, prediction, verdict: scored(0, {}), advantage }] }
    })
    const batch = pack(frame, groups)
    const { documents, branches: count, length, tailLength } = batch.branches
    const perToken = [documents, count, length]
    const loss = Loss.clipped({ low: 0.2, high: 0.28 })
    const data = {
      trunk: int([documents, batch.trunk.length], batch.trunk.tokens),
      branches: int(perToken, batch.branches.tokens),
      anchors: int([documents, count], batch.branches.anchors),
      mask: float(perToken, batch.branches.mask),
      behaviourLogprobs: float(perToken, batch.behaviourLogprobs),
      advantages: float([documents, count], batch.advantages),
      tokenCount: float([], [8]),
      tokensRead: float([], [4])
    }
    const targets = Array.from(batch.branches.mask.keys()).filter((place) => batch.branches.mask[place] === 1)
    const logprobs = currentLogprobs(new Float64Array(batch.branches.tokens.length))
    current.forEach((own, b) => logprobs.set(own, b * length + tailLength))
    // Of a batch of 8 tokens these 4 were looked at: the loss is a mean over all, the metrics over those.
    const { value } = Loss.reference(loss, batch, logprobs, 8)
    const { metrics } = Loss.reference(loss, batch, logprobs)
    // With the logits of all positions, and with those of the targets alone, filled up with a token of a tail.
    for (const some of [{}, { targets: int([6], [...targets, 0, 0]) }]) {
      const given = minimise(policy(loss, tailLength, 1), { ...data, ...some })
      expect(given.loss).toBeCloseTo(value, 6)
      for (const [name, metric] of Object.entries(metrics)) expect(given.sums[name], name).toBeCloseTo(metric, 6)
      expect(given.sums["clipfrac"]).toBeCloseTo(1 / 4, 9)
      expect(given.maxima["logprob_gap/max"]).toBeCloseTo(0.4, 6)
    }
    expect(sum(Array.from(batch.branches.mask))).toBe(4)
  })
})

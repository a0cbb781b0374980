import { describe, expect, test } from "vitest"
import { Effect } from "effect"
import { compact } from "../../src/prompt/Template.ts"
import * as Reward from "../../src/reward/index.ts"
import { laws } from "../../src/testing/index.ts"

/** A truth that hangs on what was thought, so that a reward which mixes up rollouts is found out. */
const truth: Reward.Truth["Service"] = {
  afterThought: ({ rollouts }, tokens) =>
    Effect.succeed(rollouts.map(({ rollout: { bytes } }) => (-tokens * (1 + (bytes[0] ?? 0))) / 16)),
  baseline: (problem, tokens) => Effect.succeed((-tokens * problem.anchor) / 4)
}

const withTruth = (reward: Reward.Reward<unknown, Reward.Truth>): Reward.Reward<unknown> =>
  Reward.make(reward.name, (group) => Effect.provideService(reward.score(group), Reward.Truth, truth), reward.claims)

const rewards: ReadonlyArray<Reward.Reward<unknown>> = [
  ...Object.values(Reward.builtin).map(withTruth),
  withTruth(Reward.conditionalDense({ tokens: 2, penalty: 0.1 })),
  Reward.segmentMatch({ lambda: 1 }),
  Reward.overlong({ limit: 24, buffer: 8 }),
  Reward.repetition({ n: 2, limit: 4 }),
  Reward.sum(Reward.prefixMatch, Reward.repetition(), Reward.overlong({ limit: 24, buffer: 8 })),
  Reward.gate(Reward.prefixMatch, Reward.segmentMatch())
]

describe("a built-in reward keeps every law", () => {
  for (const reward of rewards) {
    for (const template of [undefined, compact]) {
      const settings = { runs: 40, ...(template === undefined ? {} : { template }) }
      test(`${reward.name} (${template?.name ?? "boxed"})`, async () => {
        const all = laws.reward(reward, settings)
        expect(all.length).toBeGreaterThan(3)
        for (const { check } of all) await check()
      })
    }
  }
})

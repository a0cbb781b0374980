import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import * as Advantage from "../../src/rl/advantage.ts"
import { arbitraries, laws } from "../../src/testing/index.ts"

// Golden values: Python's statistics module (fmean, pstdev), eps 1e-6.
const goldens = {
  grpo: [
    [
      [1, 0, 0, 1],
      [0.999998000004, -0.999998000004, -0.999998000004, 0.999998000004]
    ],
    [
      [0.25, -1, 2.5],
      [-0.230173976119, -1.093326386566, 1.323500362685]
    ]
  ],
  drGrpo: [
    [
      [0.25, -1, 2.5],
      [-0.333333333333, -1.583333333333, 1.916666666667]
    ]
  ],
  rloo: [
    [
      [1, 0, 0, 1, 0],
      [0.75, -0.5, -0.5, 0.75, -0.5]
    ],
    [
      [0.25, -1, 2.5],
      [-0.5, -2.375, 2.875]
    ]
  ]
} as const

describe.each([Advantage.grpo, Advantage.drGrpo, Advantage.rloo])("$name", (advantage) => {
  test("agrees with golden values", () => {
    for (const [rewards, expected] of goldens[advantage.name as keyof typeof goldens]) {
      advantage.of(rewards).forEach((a, i) => expect(a).toBeCloseTo(expected[i], 11))
    }
  })

  for (const { name, check } of laws.advantage(advantage)) test(name, check)

  test("is exactly zero for eight rewards of 0.1, whose mean is not 0.1 in floating point", () => {
    expect(advantage.of(Array.from({ length: 8 }, () => 0.1))).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
  })

  test("leaves unscorable rollouts out: the others get what they would get alone", () => {
    fc.assert(
      fc.property(arbitraries.scoredGroup(), (group) => {
        const assigned = Advantage.assign(advantage, group)
        const kept = group.rollouts.filter(({ verdict }) => verdict._tag === "Scored")
        expect(assigned.rollouts.map(({ rollout }) => rollout.index)).toEqual(kept.map(({ rollout }) => rollout.index))
        expect(assigned.excluded).toBe(group.rollouts.length - kept.length)
        expect(assigned.rollouts.map((rollout) => rollout.advantage)).toEqual(
          advantage.of(assigned.rollouts.map(({ verdict }) => verdict.value))
        )
      }),
      { numRuns: 50 }
    )
  })
})

describe("laws.advantage", () => {
  const planted: ReadonlyArray<readonly [law: string, name: string, of: Advantage.Advantage["of"]]> = [
    ["sums to zero over the group", "raw rewards", (rewards) => rewards],
    [
      "gives one finite advantage per reward",
      "the std of equal rewards as divisor",
      (rewards) => {
        const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length
        const std = Math.sqrt(rewards.reduce((sum, r) => sum + (r - mean) ** 2, 0) / rewards.length)
        return rewards.map((r) => (r - mean) / std)
      }
    ],
    [
      "is zero for a group of one",
      "a sample std, which divides by G - 1",
      (rewards) => {
        const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length
        const variance = rewards.reduce((sum, r) => sum + (r - mean) ** 2, 0) / (rewards.length - 1)
        return rewards.map((r) => (r - mean) / (Math.sqrt(variance) + 1e-6))
      }
    ],
    [
      "does not change when every reward is shifted",
      "normalising by the largest reward",
      (rewards) => {
        const top = Math.max(...rewards.map(Math.abs), 1)
        const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length
        return rewards.map((r) => (r - mean) / top)
      }
    ],
    [
      "follows the order of the group",
      "sorting the rewards",
      (rewards) => {
        const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length
        return rewards.toSorted((a, b) => a - b).map((r) => r - mean)
      }
    ]
  ]
  test.each(planted)("says that what does not hold is: %s (planted: %s)", async (law, name, of) => {
    const found = laws.advantage({ name, of, scaleInvariant: false }).find((each) => each.name === `${name} ${law}`)
    await expect(found!.check()).rejects.toThrow(/Property failed/)
  })
})

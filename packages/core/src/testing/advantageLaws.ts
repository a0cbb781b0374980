import { Effect } from "effect"
import * as fc from "fast-check"
import type { Advantage } from "../rl/advantage.ts"
import { reward } from "./arbitraries/group.ts"
import { type Finding, type Law, law, type LawSettings } from "./Law.ts"

/**
 * What holds of every group-relative advantage; scale invariance where it is declared.
 *
 * @example for (const { name, check } of laws.advantage(Advantage.grpo)) test(name, check)
 */
export const advantageLaws = (advantage: Advantage, settings: LawSettings = {}): ReadonlyArray<Law> => {
  const groups = fc.array(reward, { minLength: 1, maxLength: 16 })
  const wild = fc.double({ min: -1e6, max: 1e6, noNaN: true })

  /** `property` of a case; `rewards` of the case are what stands in the report, with what becomes of them. */
  const about = <A>(
    what: string,
    arbitrary: fc.Arbitrary<A>,
    rewards: (value: A) => ReadonlyArray<number>,
    property: (value: A) => Finding
  ) =>
    law(`${advantage.name} ${what}`, arbitrary, (value) => Effect.sync(() => property(value)), {
      ...settings,
      show: (value) => `rewards    ${list(rewards(value))}\nadvantages ${list(advantage.of(rewards(value)))}`
    })
  const ofGroups = (what: string, arbitrary: fc.Arbitrary<ReadonlyArray<number>>, property: Property) =>
    about(what, arbitrary, (rewards) => rewards, property)
  type Property = (rewards: ReadonlyArray<number>) => Finding

  return [
    ofGroups("gives one finite advantage per reward", fc.array(wild, { maxLength: 16 }), (rewards) => {
      const advantages = advantage.of(rewards)
      if (advantages.length !== rewards.length) return `${advantages.length} advantages for ${rewards.length} rewards`
      const broken = advantages.find((a) => !Number.isFinite(a))
      return broken === undefined ? undefined : `an advantage is ${broken}`
    }),
    ofGroups("gives the same advantages when asked again", groups, (rewards) =>
      differs("asked again", advantage.of(rewards), advantage.of(rewards), 0)
    ),
    ofGroups("sums to zero over the group", groups, (rewards) => {
      const sum = advantage.of(rewards).reduce((sum, a) => sum + a, 0)
      return Math.abs(sum) <= 1e-9 ? undefined : `the advantages of the group sum to ${sum}`
    }),
    about(
      "does not change when every reward is shifted",
      fc.tuple(groups, reward),
      ([rewards]) => rewards,
      ([rewards, shift]) =>
        differs(
          `with ${shift} added to every reward`,
          advantage.of(rewards.map((r) => r + shift)),
          advantage.of(rewards)
        )
    ),
    about(
      advantage.scaleInvariant ? "does not change when every reward is scaled" : "scales with the rewards",
      fc.tuple(groups, fc.constantFrom(0.5, 2, 8)),
      ([rewards]) => rewards,
      ([rewards, scale]) =>
        differs(
          `with every reward times ${scale}`,
          advantage.of(rewards.map((r) => r * scale)),
          advantage.of(rewards).map((a) => (advantage.scaleInvariant ? a : a * scale)),
          1e-4
        )
    ),
    ofGroups("follows the order of the group", groups, (rewards) =>
      differs(
        "with the group in reverse, turned back",
        advantage.of(rewards.toReversed()).toReversed(),
        advantage.of(rewards)
      )
    ),
    ofGroups(
      "is exactly zero for equal rewards",
      fc.tuple(wild, fc.integer({ min: 2, max: 16 })).map(([value, size]) => Array.from({ length: size }, () => value)),
      (rewards) =>
        advantage.of(rewards).every((a) => a === 0)
          ? undefined
          : `${rewards.length} equal rewards have advantages that are not zero`
    ),
    ofGroups(
      "is zero for a group of one",
      wild.map((value) => [value]),
      (rewards) => differs("a group of one", advantage.of(rewards), [0], 0)
    )
  ]
}

const differs = (how: string, a: ReadonlyArray<number>, expected: ReadonlyArray<number>, tolerance = 1e-9): Finding =>
  a.length === expected.length && a.every((x, i) => Math.abs(x - expected[i]) <= tolerance)
    ? undefined
    : `${how}: ${list(a)}, and ${list(expected)} was expected`

const list = (numbers: ReadonlyArray<number>): string => `[${numbers.join(", ")}]`

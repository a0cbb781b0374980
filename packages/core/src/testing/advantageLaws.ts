import { Effect } from "effect"
import * as fc from "fast-check"
import type { Advantage } from "../rl/advantage.ts"
import { reward } from "./arbitraries/group.ts"
import { type Law, law, type LawSettings } from "./Law.ts"

/**
 * What holds of every group-relative advantage; scale invariance where it is declared.
 *
 * @example for (const { name, check } of laws.advantage(Advantage.grpo)) test(name, check)
 */
export const advantageLaws = (advantage: Advantage, settings: LawSettings = {}): ReadonlyArray<Law> => {
  const groups = fc.array(reward, { minLength: 1, maxLength: 16 })
  const wild = fc.double({ min: -1e6, max: 1e6, noNaN: true })
  const about = <A>(what: string, arbitrary: fc.Arbitrary<A>, property: (value: A) => boolean) =>
    law(`${advantage.name} ${what}`, arbitrary, (value) => Effect.sync(() => property(value)), settings)

  return [
    about("gives one finite advantage per reward", fc.array(wild, { maxLength: 16 }), (rewards) => {
      const advantages = advantage.of(rewards)
      return advantages.length === rewards.length && advantages.every(Number.isFinite)
    }),
    about("gives the same advantages when asked again", groups, (rewards) =>
      close(advantage.of(rewards), advantage.of(rewards), 0)
    ),
    about("sums to zero over the group", groups, (rewards) =>
      close([advantage.of(rewards).reduce((sum, a) => sum + a, 0)], [0])
    ),
    about("does not change when every reward is shifted", fc.tuple(groups, reward), ([rewards, shift]) =>
      close(advantage.of(rewards.map((r) => r + shift)), advantage.of(rewards))
    ),
    about(
      advantage.scaleInvariant ? "does not change when every reward is scaled" : "scales with the rewards",
      fc.tuple(groups, fc.constantFrom(0.5, 2, 8)),
      ([rewards, scale]) =>
        close(
          advantage.of(rewards.map((r) => r * scale)),
          advantage.of(rewards).map((a) => (advantage.scaleInvariant ? a : a * scale)),
          1e-4
        )
    ),
    about("follows the order of the group", groups, (rewards) =>
      close(advantage.of(rewards.toReversed()).toReversed(), advantage.of(rewards))
    ),
    about("is exactly zero for equal rewards", fc.tuple(wild, fc.integer({ min: 1, max: 16 })), ([value, size]) =>
      advantage.of(Array.from({ length: size }, () => value)).every((a) => a === 0)
    ),
    about("is zero for a group of one", wild, (value) => close(advantage.of([value]), [0], 0))
  ]
}

const close = (a: ReadonlyArray<number>, b: ReadonlyArray<number>, tolerance = 1e-9): boolean =>
  a.length === b.length && a.every((x, i) => Math.abs(x - b[i]) <= tolerance)

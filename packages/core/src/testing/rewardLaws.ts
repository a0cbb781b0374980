import { Effect } from "effect"
import { boxed, type Template } from "../prompt/Template.ts"
import { judge } from "../reward/judge.ts"
import type { Reward } from "../reward/Reward.ts"
import type { Verdict } from "../reward/Verdict.ts"
import type { ParsedGroup } from "../rl/Group.ts"
import { parsedGroup } from "./arbitraries/group.ts"
import { type Law, law, type LawSettings } from "./Law.ts"

/**
 * What holds of every reward. Provide the services a reward needs before handing it in.
 *
 * @example for (const { name, check } of laws.reward(Reward.prefixMatch)) test(name, check)
 */
export const rewardLaws = <E>(
  reward: Reward<E>,
  settings: LawSettings & { readonly template?: Template } = {}
): ReadonlyArray<Law> => {
  const groups = parsedGroup(settings.template ?? boxed)
  const verdicts = (group: ParsedGroup) =>
    Effect.map(judge(reward, group), ({ rollouts }) => rollouts.map(({ verdict }) => verdict))
  const about = (what: string, property: (group: ParsedGroup) => Effect.Effect<boolean, E>) =>
    law(`${reward.name} ${what}`, groups, property, settings)

  return [
    about("gives one verdict per rollout", (group) =>
      Effect.map(reward.score(group), (given) => given.length === group.rollouts.length)
    ),
    about("gives finite values", (group) =>
      Effect.map(reward.score(group), (given) =>
        given.every(
          (verdict) =>
            verdict._tag === "Unscorable" || [verdict.value, ...Object.values(verdict.parts)].every(Number.isFinite)
        )
      )
    ),
    about("gives the same verdicts when asked again", (group) =>
      Effect.gen(function* () {
        return same(yield* verdicts(group), yield* verdicts(group))
      })
    ),
    about("does not depend on the order of the group", (group) =>
      Effect.gen(function* () {
        const backwards = { problem: group.problem, rollouts: group.rollouts.toReversed() }
        return same(yield* verdicts(group), (yield* verdicts(backwards)).toReversed())
      })
    )
  ]
}

const same = (a: ReadonlyArray<Verdict>, b: ReadonlyArray<Verdict>): boolean => JSON.stringify(a) === JSON.stringify(b)

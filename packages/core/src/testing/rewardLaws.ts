import { Effect } from "effect"
import { boxed, type Template } from "../prompt/Template.ts"
import { judge } from "../reward/judge.ts"
import type { Reward } from "../reward/Reward.ts"
import type { Law, LawSettings } from "./Law.ts"
import { claimLaws } from "./rewardLaws/claims.ts"
import { contractLaws } from "./rewardLaws/contract.ts"
import { gainLaws } from "./rewardLaws/gains.ts"
import type { Subject } from "./rewardLaws/Subject.ts"

export interface RewardLawSettings extends LawSettings {
  /** How completions are written and read, default `boxed`. */
  readonly template?: Template
}

/**
 * What holds of every reward, and what this one claims of itself: its bounds, what it pays for, what earns nothing and
 * what gains nothing. Provide the services a reward needs before handing it in.
 *
 * @example for (const { name, check } of laws.reward(Reward.prefixMatch)) test(name, check)
 */
export const rewardLaws = <E>(reward: Reward<E>, settings: RewardLawSettings = {}): ReadonlyArray<Law> => {
  const subject: Subject = {
    name: reward.name,
    claims: reward.claims,
    template: settings.template ?? boxed,
    settings,
    verdicts: (group) => Effect.map(judge(reward, group), ({ rollouts }) => rollouts.map(({ verdict }) => verdict))
  }
  return [...contractLaws(subject), ...claimLaws(subject), ...(reward.claims.deterministic ? gainLaws(subject) : [])]
}

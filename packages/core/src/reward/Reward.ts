import { Effect } from "effect"
import type { Problem } from "../data/NextToken.ts"
import type { Group, ParsedGroup } from "../rl/Group.ts"
import type { ParsedRollout } from "../rl/Rollout.ts"
import { scored, unscorable, type Unscorable, type Verdict } from "./Verdict.ts"

/**
 * A reward sees a whole group (rollouts of one problem, parsed) and may ask for a service `R`, such as a model that
 * scores the true continuation. It answers with one verdict per rollout, in the order of the group.
 *
 * Bytes are canonical: compute from `prediction.bytes`, `rollout.bytes` and `problem.continuation`, never from decoded
 * strings.
 */
export interface Reward<out E = never, out R = never> {
  readonly name: string
  readonly score: (group: ParsedGroup) => Effect.Effect<ReadonlyArray<Verdict>, E, R>
}

/** Lifts a pure function of one rollout. Its value is the one part, under the reward's name. */
export const pure = (
  name: string,
  score: (rollout: ParsedRollout, problem: Problem) => number | Unscorable
): Reward => ({
  name,
  score: (group) =>
    Effect.sync(() =>
      group.rollouts.map((rollout) => {
        const value = score(rollout, group.problem)
        return typeof value === "number" ? scored(value, { [name]: value }) : value
      })
    )
})

/**
 * Scores a group. What a reward may not answer is made unscorable here, with the reason, so that it can be counted and
 * never reaches an advantage: a value that is not finite, or another number of verdicts than there are rollouts.
 */
export const judge = <E, R>(reward: Reward<E, R>, group: ParsedGroup): Effect.Effect<Group, E, R> =>
  Effect.map(reward.score(group), (verdicts) => ({
    problem: group.problem,
    rollouts: group.rollouts.map((parsed, i) => ({
      ...parsed,
      verdict:
        verdicts.length === group.rollouts.length
          ? checked(reward.name, verdicts[i])
          : unscorable(`${reward.name} gave ${verdicts.length} verdicts for ${group.rollouts.length} rollouts`)
    }))
  }))

const checked = (name: string, verdict: Verdict): Verdict =>
  verdict._tag === "Scored" && !Number.isFinite(verdict.value)
    ? unscorable(`${name} gave ${verdict.value}, which is no finite number`)
    : verdict

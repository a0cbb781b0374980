import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Group, ParsedGroup } from "../rl/Group.ts"
import { describe, type Reward } from "./Reward.ts"
import { type Unscorable, unscorable, type Verdict } from "./Verdict.ts"

export interface JudgeSettings {
  /** How long a reward may take for one group, default 10 seconds. */
  readonly timeLimit: Duration.Input
}

/**
 * Scores a group. What a reward may not do is made unscorable here, with the reason, so that it can be counted and never
 * reaches an advantage: to throw, to fail, to give no answer within the time limit, a value that is no finite number,
 * or another number of verdicts than there are rollouts. Never fails.
 *
 * A synchronous loop that does not end cannot be interrupted from its own thread; `loadReward` puts it into another.
 */
export const judge = <E, R>(
  reward: Reward<E, R>,
  group: ParsedGroup,
  { timeLimit }: JudgeSettings = { timeLimit: "10 seconds" }
): Effect.Effect<Group, never, R> =>
  verdicts(reward, group).pipe(
    Effect.timeoutOrElse({
      duration: timeLimit,
      orElse: () => {
        const reason = `${reward.name} gave no answer within ${Duration.format(Duration.fromInputUnsafe(timeLimit))}`
        return Effect.succeed(all(group, unscorable(reason, "timeout")))
      }
    }),
    Effect.map((given) => ({
      problem: group.problem,
      rollouts: group.rollouts.map((parsed, i) => ({ ...parsed, verdict: given[i] }))
    }))
  )

/** The verdicts of a reward, checked but not limited in time: one per rollout, whatever the reward does. */
export const verdicts = <E, R>(
  reward: Reward<E, R>,
  group: ParsedGroup
): Effect.Effect<ReadonlyArray<Verdict>, never, R> =>
  Effect.suspend(() => reward.score(group)).pipe(
    Effect.map((given) => {
      // Rewards of users may be written without types, so nothing is taken for granted.
      const count = Array.isArray(given) ? given.length : 0
      return count === group.rollouts.length
        ? Array.from(given, (verdict) => checked(reward.name, verdict))
        : all(
            group,
            unscorable(`${reward.name} gave ${count} verdicts for ${group.rollouts.length} rollouts`, "miscounted")
          )
    }),
    Effect.catchCause((cause) => {
      const [verb, kind] = Cause.hasDies(cause) ? (["threw", "threw"] as const) : (["failed", "failed"] as const)
      const reason = `${reward.name} ${verb}: ${describe(Cause.squash(cause))}`
      return Effect.succeed(all(group, unscorable(reason, kind)))
    })
  )

const all = ({ rollouts }: ParsedGroup, verdict: Unscorable): ReadonlyArray<Verdict> => rollouts.map(() => verdict)

const checked = (name: string, verdict: Verdict): Verdict => {
  if (verdict?._tag === "Unscorable") return verdict
  if (verdict?._tag !== "Scored")
    return unscorable(`${name} gave ${show(verdict)}, which is no verdict`, "not-a-number")
  const broken = [["", verdict.value] as const, ...Object.entries(verdict.parts ?? {})].find(
    ([, value]) => !Number.isFinite(value)
  )
  if (broken === undefined) return verdict
  const [part, value] = broken
  const where = part === "" || part === name ? name : `${name}, part ${part},`
  return unscorable(`${where} gave ${show(value)}, which is no finite number`, "not-a-number")
}

const show = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : String(value))

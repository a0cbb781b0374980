/**
 * A stored run read again: its groups with the verdicts and advantages that they had, and the same groups under another
 * reward, without sampling. What the other reward would have made of the policy from the first changed update on, a replay
 * cannot say: the rollouts are those of the run as it was.
 */
import { Effect } from "effect"
import { parse, type Template } from "../prompt/Template.ts"
import { judge } from "../reward/judge.ts"
import type { Reward } from "../reward/Reward.ts"
import { unscorable, unscorableKinds, type Verdict } from "../reward/Verdict.ts"
import type { Advantage } from "../rl/advantage.ts"
import { assign } from "../rl/advantage.ts"
import type { Group } from "../rl/Group.ts"
import type { ScoredRollout } from "../rl/Rollout.ts"
import type { LedgerStep, RecordOf } from "./Ledger.ts"
import { groupsOf } from "./Ledger.ts"

/** What a reward came to for one rollout. */
export interface Standing {
  readonly verdict: Verdict
  /** null: it left its group. */
  readonly advantage: number | null
}

export interface ReplayedRollout extends Pick<ScoredRollout, "rollout" | "prediction"> {
  readonly standing: Standing
}

/** A group as it was judged, with the advantages of its rollouts. */
export interface ReplayedGroup {
  readonly group: Group
  readonly rollouts: ReadonlyArray<ReplayedRollout>
}

/**
 * The groups of a step that were judged to the end, as the ledger has them. Advantages are those of the batch; a group that
 * was not learned from has those that it would have had.
 */
export const recordedGroups = (
  step: LedgerStep,
  template: Template,
  advantage: Advantage
): ReadonlyArray<ReplayedGroup> => {
  const [batch] = step.batch
  const learned = new Map(batch?.rollouts.map((id, i) => [id, batch.advantages[i]]))
  const verdictOf = (id: string): ReadonlyArray<RecordOf<"verdict">> => {
    const record = step.verdicts.get(id)
    return record === undefined ? [] : [record]
  }
  return groupsOf(step).flatMap(({ problem, rollouts }) => {
    const judged = rollouts.flatMap((rollout) =>
      verdictOf(rollout.id).map((record) => ({
        rollout,
        prediction: parse(template, rollout.bytes),
        verdict: stored(record.verdict)
      }))
    )
    if (judged.length < rollouts.length) return []
    const standing = standings(advantage, { problem, rollouts: judged })
    return [
      {
        ...standing,
        rollouts: standing.rollouts.map((one) => {
          const given = learned.get(one.rollout.id)
          return given === undefined ? one : { ...one, standing: { ...one.standing, advantage: given } }
        })
      }
    ]
  })
}

/**
 * By rollout: the part that it has in what its step pushes the policy by, |advantage| times its tokens over the sum of that in the
 * batch. The loss is a mean over all tokens of the batch, so each token weighs its rollout's advantage; what clipping takes from
 * that, and how large the gradient of a token is, is not in the ledger.
 */
export const gradientShares = ({ batch, rollouts }: LedgerStep): ReadonlyMap<string, number> => {
  const tokens = new Map([...rollouts.values()].flat().map(({ id, tokens }) => [id, tokens.length]))
  const weights = batch.flatMap(({ rollouts, advantages }) =>
    rollouts.map((id, i) => [id, Math.abs(advantages[i]) * (tokens.get(id) ?? 0)] as const)
  )
  const all = weights.reduce((sum, [, weight]) => sum + weight, 0)
  return new Map(weights.map(([id, weight]) => [id, all === 0 ? 0 : weight / all]))
}

/** The same rollouts under another reward. */
export const rejudge = <E, R>(
  { group: { problem, rollouts } }: ReplayedGroup,
  reward: Reward<E, R>,
  advantage: Advantage
): Effect.Effect<ReplayedGroup, never, R> => {
  const parsed = rollouts.map(({ rollout, prediction }) => ({ rollout, prediction }))
  return Effect.map(judge(reward, { problem, rollouts: parsed }), (group) => standings(advantage, group))
}

const standings = (advantage: Advantage, group: Group): ReplayedGroup => {
  const given = new Map(assign(advantage, group).rollouts.map(({ rollout, advantage }) => [rollout.index, advantage]))
  const rollouts = group.rollouts.map(({ rollout, prediction, verdict }) => ({
    rollout,
    prediction,
    standing: { verdict, advantage: given.get(rollout.index) ?? null }
  }))
  return { group, rollouts }
}

/** What changed for one rollout. */
export interface Change {
  readonly rollout: ReplayedRollout
  readonly before: Standing
  readonly after: Standing
  /** Another value, or scored before and unscorable now, or the other way round. */
  readonly verdict: boolean
  /** Another sign: what was pushed up is not any more, or what was pushed down. */
  readonly push: boolean
}

/** The rollouts of two replays of one group that differ in verdict or advantage. */
export const changes = (before: ReplayedGroup, after: ReplayedGroup): ReadonlyArray<Change> =>
  before.rollouts.flatMap((rollout, i) => {
    const [old, now] = [rollout.standing, after.rollouts[i].standing]
    const verdict = valueOf(old) !== valueOf(now)
    const push = Math.sign(old.advantage ?? 0) !== Math.sign(now.advantage ?? 0)
    const moved = Math.abs((old.advantage ?? 0) - (now.advantage ?? 0)) > rounding
    return verdict || push || moved ? [{ rollout, before: old, after: now, verdict, push }] : []
  })

/** Advantages that differ by no more are the same. */
const rounding = 1e-9

const valueOf = ({ verdict }: Standing): number | undefined => (verdict._tag === "Scored" ? verdict.value : undefined)

const stored = (verdict: RecordOf<"verdict">["verdict"]): Verdict =>
  verdict._tag === "Scored"
    ? verdict
    : unscorable(verdict.reason, unscorableKinds.find((kind) => kind === verdict.kind) ?? "failed")

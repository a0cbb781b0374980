/**
 * Dynamic sampling: from step `fromStep` on, groups whose rewards are all equal are dropped and more are sampled until
 * the batch is full. Source: DAPO, arXiv 2503.14476, section 3.2; RPT, arXiv 2506.08007, switches it on at step 500.
 *
 * Where we depart: the search is bounded. Filtering starves as the policy converges, so after `maxAttempts` rounds a
 * batch of at least `minGroups` goes on as it is, and anything less ends with `NoSignal`.
 */
import { Effect, Schema } from "effect"
import { type Group, values } from "./Group.ts"

export interface DynamicSampling {
  /** First step (0-based) that filters; Infinity: never. */
  readonly fromStep: number
  /** Rounds of sampling per step, >= 1. */
  readonly maxAttempts: number
  /** Fewest informative groups worth an update, >= 1. */
  readonly minGroups: number
}

/** The default: no filter. */
export const off: DynamicSampling = { fromStep: Infinity, maxAttempts: 1, minGroups: 1 }

/** No round of sampling gave enough groups with unequal rewards: the policy has nothing left to learn here. */
export class NoSignal extends Schema.TaggedError<NoSignal>()("NoSignal", {
  /** The step that could not be made, counting from 1 as metrics do. */
  step: Schema.Number,
  attempts: Schema.Number,
  groupsSampled: Schema.Number,
  groupsKept: Schema.Number,
  groupsNeeded: Schema.Number
}) {
  override get message(): string {
    return (
      `step ${this.step}: ${this.groupsKept} of ${this.groupsSampled} groups had unequal rewards after ` +
      `${this.attempts} rounds of sampling, ${this.groupsNeeded} are needed`
    )
  }
}

/** The groups of one update, in the order they were sampled, and what it took to get them. */
export interface Selection {
  readonly groups: ReadonlyArray<Group>
  readonly attempts: number
  readonly groupsSampled: number
}

/** True when at least two scored rollouts of the group have different rewards. */
export const hasSignal = (group: Group): boolean => {
  const rewards = values(group)
  return rewards.some((reward) => reward !== rewards[0])
}

/**
 * Collects up to `wanted` groups for step `step`, counting from 0. `sample(attempt)`, attempt = 0, 1, ..., returns one round of scored
 * groups; the composition of the result depends on their order only. Before `fromStep` it is the first round as it is.
 */
export const collect = <E, R>(
  settings: DynamicSampling,
  step: number,
  wanted: number,
  sample: (attempt: number) => Effect.Effect<ReadonlyArray<Group>, E, R>
): Effect.Effect<Selection, E | NoSignal, R> =>
  Effect.gen(function* () {
    const filtering = step >= settings.fromStep
    const groups: Array<Group> = []
    let groupsSampled = 0
    let attempts = 0
    while (attempts < (filtering ? settings.maxAttempts : 1) && groups.length < wanted) {
      const round = yield* sample(attempts)
      attempts++
      groupsSampled += round.length
      groups.push(...(filtering ? round.filter(hasSignal) : round))
    }
    const groupsNeeded = Math.min(wanted, settings.minGroups)
    if (filtering && groups.length < groupsNeeded) {
      return yield* new NoSignal({ step: step + 1, attempts, groupsSampled, groupsKept: groups.length, groupsNeeded })
    }
    return { groups: groups.slice(0, wanted), attempts, groupsSampled }
  })

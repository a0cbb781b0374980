import type { Problem } from "../data/NextToken.ts"
import { parse, type Template } from "../prompt/Template.ts"
import type { AdvantagedRollout, ParsedRollout, Rollout, ScoredRollout } from "./Rollout.ts"

/** The G rollouts of one problem, all in the same state, in the order of their `index`. */
interface GroupOf<State> {
  readonly problem: Problem
  readonly rollouts: ReadonlyArray<State>
}

/** What a sampler hands out. */
export type RolloutGroup = GroupOf<Rollout>

/** What a reward sees. */
export type ParsedGroup = GroupOf<ParsedRollout>

/** What a verifier hands out. */
export type Group = GroupOf<ScoredRollout>

/** What an optimizer learns from: the scored rollouts only. `excluded` counts the unscorable ones that left. */
export interface AdvantagedGroup extends GroupOf<AdvantagedRollout> {
  readonly excluded: number
}

/** Reads every completion of the group under `template`. */
export const parseAll = (template: Template, group: RolloutGroup): ParsedGroup => ({
  problem: group.problem,
  rollouts: group.rollouts.map((rollout) => ({ rollout, prediction: parse(template, rollout.bytes) }))
})

/** The values of the scored rollouts, in order. */
export const values = (group: Group): ReadonlyArray<number> =>
  group.rollouts.flatMap(({ verdict }) => (verdict._tag === "Scored" ? [verdict.value] : []))

import { Effect } from "effect"
import type { Template } from "../../prompt/Template.ts"
import type { Claims } from "../../reward/Claims.ts"
import type { Verdict } from "../../reward/Verdict.ts"
import type { ParsedGroup } from "../../rl/Group.ts"
import type { ParsedRollout } from "../../rl/Rollout.ts"
import { type GroupCase, groupCase } from "../arbitraries/group.ts"
import { type Finding, type Law, law, type LawSettings } from "../Law.ts"
import { showRollouts } from "../show.ts"

/** The reward that stands before the law: what it claims, and a way to ask it. */
export interface Subject {
  readonly name: string
  readonly claims: Claims
  readonly template: Template
  readonly settings: LawSettings
  /** As `judge` gives them: what a reward may not answer is unscorable, with the reason. */
  readonly verdicts: (group: ParsedGroup) => Effect.Effect<ReadonlyArray<Verdict>>
}

/** The law that `examine` finds nothing wrong with any group. */
export const ofGroups = (
  subject: Subject,
  what: string,
  examine: (groupCase: GroupCase) => Effect.Effect<Finding>
): Law => {
  const show = async ({ table, group }: GroupCase) => {
    const verdicts = await Effect.runPromise(subject.verdicts(group))
    const shown = group.rollouts.map((parsed, i) => ({ label: `rollout ${i}`, parsed, verdict: verdicts[i] }))
    return showRollouts(subject.template, { table, problem: group.problem }, shown)
  }
  return law(`${subject.name} ${what}`, groupCase(subject.template), examine, { ...subject.settings, show })
}

/** The law that `examine` finds nothing wrong with any verdict; what it says is said of `rollout i`. */
export const ofVerdicts = (
  subject: Subject,
  what: string,
  examine: (verdict: Verdict, rollout: ParsedRollout) => Finding
): Law =>
  ofGroups(subject, what, ({ group }) =>
    Effect.map(subject.verdicts(group), (verdicts) =>
      firstFinding(group.rollouts, (rollout, i) => {
        const finding = examine(verdicts[i], rollout)
        return finding === undefined ? undefined : `rollout ${i} ${finding}`
      })
    )
  )

export const firstFinding = <A>(values: ReadonlyArray<A>, examine: (value: A, i: number) => Finding): Finding => {
  for (const [i, value] of values.entries()) {
    const finding = examine(value, i)
    if (finding !== undefined) return finding
  }
  return undefined
}

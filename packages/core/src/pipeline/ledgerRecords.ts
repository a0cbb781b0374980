/** What happens in a run, as the records of its ledger. */
import type { AdvantagedGroup, Group } from "../rl/Group.ts"
import type { LedgerRecord, RecordOf } from "../run/Ledger.ts"
import type { Unit } from "./messages.ts"
import type { SetAside } from "./poison.ts"

/** A unit of step `step` (counting from 1) that was sampled and verified: its documents, problems, rollouts, verdicts. */
export const unitRecords = (step: number, unit: Unit, groups: ReadonlyArray<Group>): ReadonlyArray<LedgerRecord> => [
  ...askedRecords(step, unit),
  ...groups.flatMap((group) => groupRecords(step, group))
]

/** One that was set aside: its documents, its problems, and why. */
export const asideRecords = (step: number, unit: Unit, why: SetAside): ReadonlyArray<LedgerRecord> => [
  ...askedRecords(step, unit),
  { _tag: "aside", step, unit: unit.index, problems: problemsOf(unit), ...why }
]

/** Ids of the problems of a unit, in their order. */
export const problemsOf = ({ documents }: Unit): ReadonlyArray<string> =>
  documents.flatMap(({ problems }) => problems.map(({ id }) => id))

const askedRecords = (step: number, unit: Unit): ReadonlyArray<LedgerRecord> => {
  const asked = unit.documents.flatMap(({ epoch, problems }) => problems.map((problem) => ({ epoch, problem })))
  const documents = new Map(asked.map(({ problem: { document } }) => [document.id, document]))
  return [
    ...Array.from(documents.values(), ({ id, tokens }): LedgerRecord => ({ _tag: "document", step, id, tokens })),
    ...asked.map(({ epoch, problem }, place): LedgerRecord => {
      const { id, document, anchor, continuation } = problem
      const where = { unit: unit.index, place, of: asked.length }
      return { _tag: "problem", step, id, epoch, document: document.id, anchor, continuation, ...where }
    })
  ]
}

const groupRecords = (step: number, { problem, rollouts }: Group): ReadonlyArray<LedgerRecord> =>
  rollouts.flatMap(({ rollout, prediction, verdict }): ReadonlyArray<LedgerRecord> => {
    const { id, index, policyVersion: policy, completion, behaviourLogprobs: logprobs, temperature, bytes } = rollout
    return [
      { _tag: "rollout", step, id, problem: problem.id, index, policy, temperature, ...completion, logprobs, bytes },
      { _tag: "verdict", step, rollout: id, outcome: prediction.outcome, verdict }
    ]
  })

/** What step `step` learns from, of all the problems that were judged for it. */
export const batchRecord = (
  step: number,
  judged: ReadonlyArray<string>,
  groups: ReadonlyArray<AdvantagedGroup>
): RecordOf<"batch"> => {
  const problems = groups.map(({ problem }) => problem.id)
  const used = new Set(problems)
  const rollouts = groups.flatMap((group) => group.rollouts)
  return {
    _tag: "batch",
    step,
    problems,
    rollouts: rollouts.map(({ rollout }) => rollout.id),
    advantages: Float64Array.from(rollouts, ({ advantage }) => advantage),
    unused: judged.filter((id) => !used.has(id))
  }
}

import type { Problem } from "../../data/NextToken.ts"
import { behaviourLogprobs } from "../../rl/Rollout.ts"
import type { RolloutGroup } from "../../rl/Group.ts"
import type { LedgerRecord, RecordOf } from "./records.ts"

/** What a ledger holds of one step; of a step that was cut short, as much as there is. */
export interface LedgerStep {
  readonly step: number
  /** By their ids. */
  readonly documents: ReadonlyMap<string, RecordOf<"document">>
  /** In the order of the problem stream. */
  readonly problems: ReadonlyArray<RecordOf<"problem">>
  /** Of each problem, by its id, in the order of their index. */
  readonly rollouts: ReadonlyMap<string, ReadonlyArray<RecordOf<"rollout">>>
  /** By the id of the rollout. */
  readonly verdicts: ReadonlyMap<string, RecordOf<"verdict">>
  /** Units that crashed their actors. */
  readonly aside: ReadonlyArray<RecordOf<"aside">>
  /** None or one. */
  readonly batch: ReadonlyArray<RecordOf<"batch">>
  /** None or one. */
  readonly update: ReadonlyArray<RecordOf<"update">>
  readonly checkpoints: ReadonlyArray<RecordOf<"checkpoint">>
}

/** Live records (see `live`) by step, ascending. */
export const stepsOf = (records: ReadonlyArray<LedgerRecord>): ReadonlyArray<LedgerStep> => {
  const ofSteps = records.filter(
    (record) => record._tag !== "begun" && record._tag !== "ended" && record._tag !== "resumed"
  )
  return [...Map.groupBy(ofSteps, ({ step }) => step)]
    .toSorted(([a], [b]) => a - b)
    .map(([step, own]) => {
      const only = <Tag extends LedgerRecord["_tag"]>(tag: Tag) =>
        own.filter((record): record is RecordOf<Tag> & (typeof own)[number] => record._tag === tag)
      const inOrder = only("rollout").toSorted((a, b) => a.index - b.index)
      return {
        step,
        documents: new Map(only("document").map((document) => [document.id, document])),
        problems: only("problem").toSorted((a, b) => a.unit - b.unit || a.place - b.place),
        rollouts: Map.groupBy(inOrder, ({ problem }) => problem),
        verdicts: new Map(only("verdict").map((verdict) => [verdict.rollout, verdict])),
        aside: only("aside"),
        batch: only("batch"),
        update: only("update"),
        checkpoints: only("checkpoint")
      }
    })
}

/**
 * The groups of a step as its samplers made them, for example to judge them again under another reward: of all its problems
 * in the order of the stream, used or not. Problems whose document or rollouts a crash kept from the ledger are left out.
 */
export const groupsOf = ({ documents, problems, rollouts }: LedgerStep): ReadonlyArray<RolloutGroup> =>
  problems.flatMap(({ id, document: documentId, anchor, continuation }) => {
    const document = documents.get(documentId)
    const own = rollouts.get(id)
    if (document === undefined || own === undefined) return []
    const problem: Problem = { id, document: { id: documentId, tokens: document.tokens }, anchor, continuation }
    return [
      {
        problem,
        rollouts: own.map((rollout) => ({
          id: rollout.id,
          problem,
          index: rollout.index,
          policyVersion: rollout.policy,
          completion: { tokens: rollout.tokens, ended: rollout.ended },
          behaviourLogprobs: behaviourLogprobs(rollout.logprobs),
          temperature: rollout.temperature,
          bytes: rollout.bytes
        }))
      }
    ]
  })

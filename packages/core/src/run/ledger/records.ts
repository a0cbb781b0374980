/**
 * What a ledger says of a run: problem -> rollout -> verdict -> batch -> update, each by its id. A record belongs to a step,
 * counting from 1: the step that learned, or was to learn, from it.
 */
import { Schema } from "effect"
import { outcomes } from "../../prompt/Prediction.ts"
import { PolicyVersion } from "../../rl/Rollout.ts"
import { Bytes, Exact, Float32s, Float64s, Int32s } from "./columns.ts"

/** The first record of every ledger. */
const Begun = Schema.TaggedStruct("begun", {
  /** SHA-256, hex, of manifest.json. */
  manifest: Schema.String,
  /** The policy before the first update. */
  policy: PolicyVersion,
  /** G: rollouts of each problem. */
  groupSize: Schema.Int
})

/** The tokens that problems of a step are about. Written again where a later step asks about it again. */
const Document = Schema.TaggedStruct("document", { step: Schema.Int, id: Schema.String, tokens: Int32s })

const Problem = Schema.TaggedStruct("problem", {
  step: Schema.Int,
  /** epoch/document@anchor: no two problems of a run have the same. */
  id: Schema.String,
  epoch: Schema.Int,
  /** The id of its document. */
  document: Schema.String,
  /** Index of the first token to predict. */
  anchor: Schema.Int,
  continuation: Schema.Struct({ bytes: Bytes, boundaries: Schema.Array(Schema.Int) }),
  /** Index of its unit in the problem stream, counting from 0, and its place 0 .. of-1 there: a gap is a loss. */
  unit: Schema.Int,
  place: Schema.Int,
  of: Schema.Int
})

const Rollout = Schema.TaggedStruct("rollout", {
  step: Schema.Int,
  /** problem/index. */
  id: Schema.String,
  problem: Schema.String,
  index: Schema.Int,
  /** Which weights sampled it. */
  policy: PolicyVersion,
  temperature: Schema.Number,
  tokens: Int32s,
  ended: Schema.Literals(["stop", "length"]),
  /** Of `tokens`, in nats, under the policy that sampled them at `temperature`. */
  logprobs: Float32s,
  bytes: Bytes
})

const Verdict = Schema.TaggedStruct("verdict", {
  step: Schema.Int,
  rollout: Schema.String,
  outcome: Schema.Literals(outcomes),
  verdict: Schema.Union([
    Schema.TaggedStruct("Scored", { value: Exact, parts: Schema.Record(Schema.String, Exact) }),
    Schema.TaggedStruct("Unscorable", { kind: Schema.String, reason: Schema.String })
  ])
})

/**
 * A unit that crashed its actor again when it was asked again. Its problems count as consumed: no rollout of them is there, and
 * no step learns from them.
 */
const Aside = Schema.TaggedStruct("aside", {
  step: Schema.Int,
  unit: Schema.Int,
  /** All of the unit. */
  problems: Schema.Array(Schema.String),
  during: Schema.Literals(["sampling", "verifying"]),
  /** One line. */
  cause: Schema.String
})

/** What an update learns from. */
const Batch = Schema.TaggedStruct("batch", {
  step: Schema.Int,
  /** In the order of the batch. */
  problems: Schema.Array(Schema.String),
  /** The scored rollouts of these problems, in the order of the batch, and the advantage of each. */
  rollouts: Schema.Array(Schema.String),
  advantages: Float64s,
  /** Problems of the step that it does not learn from: no signal, too old, or more than were wanted. */
  unused: Schema.Array(Schema.String)
})

const Update = Schema.TaggedStruct("update", {
  step: Schema.Int,
  from: PolicyVersion,
  /** As `from` where the update was skipped. */
  to: PolicyVersion,
  /** Updates behind `to`: the optimizer's own count. */
  updates: Schema.Int,
  metrics: Schema.Record(Schema.String, Schema.Number)
})

/** A checkpoint that is durable. */
const Checkpoint = Schema.TaggedStruct("checkpoint", {
  step: Schema.Int,
  /** Its name below checkpoints/. */
  name: Schema.String,
  policy: PolicyVersion,
  /** SHA-256, hex, of each of its files. */
  files: Schema.Record(Schema.String, Schema.String)
})

/** The run went on after a death: whatever was recorded before of steps after `step` is void. */
const Resumed = Schema.TaggedStruct("resumed", {
  step: Schema.Int,
  policy: PolicyVersion,
  /** What is not as it was when the run began, where someone wanted to go on all the same: bits may differ from here on. */
  differs: Schema.optionalKey(Schema.Array(Schema.String)),
  /**
   * Only where the ledger had lost its records of steps up to `step`, and a checkpoint of that step was whole: what the records
   * that follow rest on. No record of the steps between is missed, then.
   */
  regained: Schema.optionalKey(
    Schema.Struct({
      /** The unit of the problem stream that comes next. */
      unit: Schema.Int,
      /** The policies that steps are yet to be sampled with, and the updates behind each; the last is `policy`. */
      policies: Schema.Array(Schema.Struct({ version: PolicyVersion, updates: Schema.Int }))
    })
  )
})

const Ended = Schema.TaggedStruct("ended", {
  /** The last step that was made. */
  step: Schema.Int,
  policy: PolicyVersion,
  how: Schema.Literals(["done", "no-signal", "stopped", "failed"]),
  reason: Schema.String
})

export const LedgerRecord = Schema.Union([
  Begun,
  Document,
  Problem,
  Rollout,
  Verdict,
  Aside,
  Batch,
  Update,
  Checkpoint,
  Resumed,
  Ended
])
export type LedgerRecord = typeof LedgerRecord.Type

/** One kind of record, for example `RecordOf<"rollout">`. */
export type RecordOf<Tag extends LedgerRecord["_tag"]> = Extract<LedgerRecord, { readonly _tag: Tag }>

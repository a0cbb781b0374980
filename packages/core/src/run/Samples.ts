import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import { outcomes } from "../prompt/Prediction.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { openJsonLines } from "./JsonLines.ts"

/**
 * One rollout for people to read. The texts are views of the bytes that were compared: bytes that are no UTF-8 show as
 * U+FFFD.
 */
export const Sample = Schema.Struct({
  step: Schema.Int,
  problem: Schema.Union([Schema.String, Schema.Int]),
  /** Index in its group. */
  rollout: Schema.Int,
  /** The end of the context. */
  context: Schema.String,
  thought: Schema.String,
  /** What was predicted; null where the completion holds no prediction (`outcome` says why). */
  prediction: Schema.NullOr(Schema.String),
  /** How the text goes on. */
  truth: Schema.String,
  outcome: Schema.Literals(outcomes),
  /** null: the verifier could not score it; `unscorable` says why. */
  reward: Schema.NullOr(Schema.Finite),
  /** What the reward is made of, by name. */
  parts: Schema.Record(Schema.String, Schema.Finite),
  unscorable: Schema.NullOr(Schema.String),
  /** null: it left its group, or its group was not trained on. */
  advantage: Schema.NullOr(Schema.Finite),
  /** Mean log-probability (nats) of the completion's tokens under the policy that sampled them; null for an empty completion. */
  logprobMean: Schema.NullOr(Schema.Finite)
})
export type Sample = typeof Sample.Type

/** samples.jsonl, one line per rollout shown. */
export interface Samples {
  /** Appends all of them or, where the disk is full, none. */
  readonly append: (samples: ReadonlyArray<Sample>) => Effect.Effect<void, StorageError>
  /** All samples so far are durable once this returns. */
  readonly sync: Effect.Effect<void, StorageError>
}

/** Samples of steps after `through` are cut off: a run that goes on from that step makes them again. */
export const openSamples = (
  path: string,
  through: number = Infinity
): Effect.Effect<Samples, StorageError, Scope.Scope> =>
  Effect.map(openJsonLines(path, through), (lines) => ({
    append: (samples) => lines.append(samples.map((sample) => Schema.encodeSync(Sample)(sample))),
    sync: lines.sync
  }))

import { Schema } from "effect"
import type { Problem } from "../data/NextToken.ts"
import type { Prediction } from "../prompt/Prediction.ts"
import type { Scored, Verdict } from "../reward/Verdict.ts"
import type { BehaviourLogprobs } from "./Logprobs.ts"

export { type BehaviourLogprobs, behaviourLogprobs } from "./Logprobs.ts"

/** Which weights: the content hash (SHA-256, hex) over the sorted tensors of a policy. */
export const PolicyVersion = Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)).pipe(Schema.brand("PolicyVersion"))
export type PolicyVersion = typeof PolicyVersion.Type

/** The tokens a policy wrote after the tail. `stop`: a stop token ended it (and is its last token); `length`: cut off. */
export interface Completion {
  readonly tokens: Int32Array
  readonly ended: "stop" | "length"
}

/** One sampled answer to a problem, before anyone has looked at it. */
export interface Rollout {
  readonly id: string
  readonly problem: Problem
  /** Place in its group, 0 .. G-1. With seed and problem it determines every random draw of the rollout. */
  readonly index: number
  readonly policyVersion: PolicyVersion
  readonly completion: Completion
  /** One per completion token. */
  readonly behaviourLogprobs: BehaviourLogprobs
  /** Sampling temperature, > 0. */
  readonly temperature: number
  /** Raw bytes of the completion tokens, special tokens spelled out. */
  readonly bytes: Uint8Array
}

/** A rollout whose completion has been parsed: what a reward sees. */
export interface ParsedRollout {
  readonly rollout: Rollout
  readonly prediction: Prediction
}

/** A rollout with its verdict: what a verifier hands out. */
export interface ScoredRollout extends ParsedRollout {
  readonly verdict: Verdict
}

/** A rollout that stayed in its group, with its advantage: what an update learns from. */
export interface AdvantagedRollout extends ParsedRollout {
  readonly verdict: Scored
  readonly advantage: number
}

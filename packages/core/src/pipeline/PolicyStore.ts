import { Effect, Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import { weightsHash } from "../model/weights.ts"
import type { Weights } from "../model/weights.ts"
import type { LearnerState } from "../optim/Learner.ts"
import { PolicyVersion } from "../rl/Rollout.ts"
import { LearnerStateSchema, Policy, WeightsSchema } from "./messages.ts"
import type { Policy as PolicyType } from "./messages.ts"
import type { Stage } from "./Stage.ts"

/** No policy was published yet. */
export class NoPolicy extends Schema.TaggedError<NoPolicy>()("NoPolicy", {}) {
  override get message(): string {
    return "no policy has been published"
  }
}

/** A policy with the optimizer's state behind it: what a learner goes on from. */
const Learned = Schema.Struct({ policy: Policy, optimizer: LearnerStateSchema })
export type Learned = typeof Learned.Type

/** Weights by content: whoever holds a version can tell that the weights are the ones it names. */
export const PolicyStoreProtocol = Protocol.make(
  Protocol.message("Publish", {
    payload: { weights: WeightsSchema, optimizer: LearnerStateSchema },
    success: Policy
  }),
  Protocol.message("Latest", { success: Learned, error: NoPolicy })
)
export type PolicyStoreProtocol = typeof PolicyStoreProtocol

/** Starts from `initial`, so that a restarted store is never empty; what was published last survives its restarts. */
export const make = (initial: {
  readonly weights: Weights
  readonly optimizer: LearnerState
}): Stage<PolicyStoreProtocol, Readonly<Record<never, never>>> => {
  let latest: Learned = { policy: policyOf(initial.weights, initial.optimizer.updates), optimizer: initial.optimizer }
  return {
    protocol: PolicyStoreProtocol,
    settings: {},
    make: () =>
      Effect.succeed({
        Publish: ({ weights, optimizer }: { readonly weights: Weights; readonly optimizer: LearnerState }) =>
          Effect.sync(() => {
            latest = { policy: policyOf(weights, optimizer.updates), optimizer }
            return latest.policy
          }),
        Latest: () => Effect.succeed(latest)
      })
  }
}

const policyOf = (weights: Weights, updates: number): PolicyType => ({
  version: PolicyVersion.make(weightsHash(weights)),
  updates,
  weights
})

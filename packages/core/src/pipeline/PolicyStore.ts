import { Effect, Option, Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import { hashWeights } from "../model/weights.ts"
import type { Weights } from "../model/weights.ts"
import { freshState } from "../optim/Learner.ts"
import type { LearnerState } from "../optim/Learner.ts"
import { PolicyVersion } from "../rl/Rollout.ts"
import { LearnerStateSchema, Policy, WeightsSchema } from "./messages.ts"
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

/**
 * Weights by content: whoever holds a version can tell that the weights are the ones it names. Publishing gives back the
 * optimizer's state from before as spare memory, unless someone has asked for it and may still read it.
 */
export const PolicyStoreProtocol = Protocol.make(
  Protocol.message("Publish", {
    payload: { weights: WeightsSchema, optimizer: LearnerStateSchema },
    success: Schema.Struct({ policy: Policy, spare: LearnerStateSchema })
  }),
  Protocol.message("Latest", { success: Learned, error: NoPolicy })
)
export type PolicyStoreProtocol = typeof PolicyStoreProtocol

/** Starts from `initial`, so that a restarted store is never empty; what was published last survives its restarts. */
export const make = (initial: {
  readonly weights: Weights
  readonly optimizer: LearnerState
}): Stage<PolicyStoreProtocol, Readonly<Record<never, never>>> => {
  let latest: Option.Option<{ readonly learned: Learned; readonly asked: boolean }> = Option.none()
  const publish = Effect.fnUntraced(function* (weights: Weights, optimizer: LearnerState) {
    const version = PolicyVersion.make(yield* hashWeights(weights))
    const policy = { version, updates: optimizer.updates, weights }
    const spare = Option.isNone(latest) || latest.value.asked ? freshState : latest.value.learned.optimizer
    latest = Option.some({ learned: { policy, optimizer }, asked: false })
    return { policy, spare }
  })
  return {
    protocol: PolicyStoreProtocol,
    settings: {},
    make: Effect.fnUntraced(function* () {
      if (Option.isNone(latest)) yield* publish(initial.weights, initial.optimizer)
      return {
        Publish: ({ weights, optimizer }: { readonly weights: Weights; readonly optimizer: LearnerState }) =>
          publish(weights, optimizer),
        Latest: () =>
          Effect.suspend(() => {
            if (Option.isNone(latest)) return Effect.fail(new NoPolicy())
            const { learned } = latest.value
            latest = Option.some({ learned, asked: true })
            return Effect.succeed(learned)
          })
      }
    })
  }
}

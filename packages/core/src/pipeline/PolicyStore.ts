import { Effect, Option, Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import { hashWeights } from "../model/weights.ts"
import type { KnownDigests } from "../model/weights.ts"
import { freshState } from "../optim/Learner.ts"
import { PolicyVersion } from "../rl/Rollout.ts"
import { LearnerStateSchema, Numbers, Policy, WeightsSchema } from "./messages.ts"
import type { Stage } from "./Stage.ts"

/** No policy was published yet. */
export class NoPolicy extends Schema.TaggedError<NoPolicy>()("NoPolicy", {}) {
  override get message(): string {
    return "no policy has been published"
  }
}

/** What step `step` has learned: a policy, the optimizer's state behind it, and what the update measured. A learner goes on from it. */
const Learned = Schema.Struct({
  step: Schema.Int,
  policy: Policy,
  optimizer: LearnerStateSchema,
  metrics: Numbers
})
export type Learned = typeof Learned.Type

const Update = Schema.Struct({
  step: Schema.Int,
  weights: WeightsSchema,
  optimizer: LearnerStateSchema,
  metrics: Numbers,
  /** Digests of weights that whoever publishes has found already. */
  digests: Schema.declare((value): value is KnownDigests => value instanceof WeakMap)
})

/**
 * Weights by content: whoever holds a version can tell that the weights are the ones it names. Publishing gives back the
 * optimizer's state from before as spare memory, unless someone has asked for it and may still read it. A step that is
 * published already stays as it is.
 */
export const PolicyStoreProtocol = Protocol.make(
  Protocol.message("Publish", {
    payload: Update,
    success: Schema.Struct({ learned: Learned, spare: LearnerStateSchema })
  }),
  Protocol.message("Latest", { success: Learned, error: NoPolicy })
)
export type PolicyStoreProtocol = typeof PolicyStoreProtocol

/** Starts from `initial`, so that a restarted store is never empty; what was published last survives its restarts. */
export const make = (
  initial: Omit<typeof Update.Type, "metrics" | "digests">
): Stage<PolicyStoreProtocol, Readonly<Record<never, never>>> => {
  let latest: Option.Option<{ readonly learned: Learned; readonly asked: boolean }> = Option.none()
  const publish = Effect.fnUntraced(function* ({ step, weights, optimizer, metrics, digests }: typeof Update.Type) {
    if (Option.isSome(latest) && latest.value.learned.step === step) {
      return { learned: latest.value.learned, spare: freshState }
    }
    const version = PolicyVersion.make(yield* hashWeights(weights, digests))
    const learned = { step, policy: { version, updates: optimizer.updates, weights }, optimizer, metrics }
    const spare = Option.isNone(latest) || latest.value.asked ? freshState : latest.value.learned.optimizer
    latest = Option.some({ learned, asked: false })
    return { learned, spare }
  })
  return {
    protocol: PolicyStoreProtocol,
    settings: {},
    make: Effect.fnUntraced(function* () {
      if (Option.isNone(latest)) yield* publish({ ...initial, metrics: {}, digests: new WeakMap() })
      return {
        Publish: publish,
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

import { Effect, Queue } from "effect"
import type { ActorRef } from "../actor/index.ts"
import type { Policy, Unit } from "./messages.ts"
import type { SamplerProtocol, Synced } from "./Sampler.ts"
import { sample, sync } from "./Sampler.ts"
import { isCrash, tries } from "./steadfast.ts"

/**
 * Loads a policy into every sampler, and gives a function that samples a unit on whichever is free. A sampler that
 * crashed comes back empty: it is loaded again and the unit made again, from the same draws, so with the same result.
 */
export const syncPool = Effect.fnUntraced(function* (
  samplers: ReadonlyArray<ActorRef<SamplerProtocol>>,
  policy: Policy
) {
  const idle = yield* Queue.unbounded<Synced>()
  const load = (ref: ActorRef<SamplerProtocol>) => Effect.retry(sync(ref, policy), { times: tries - 1, while: isCrash })
  yield* Effect.forEach(samplers, (ref) => Effect.flatMap(load(ref), (synced) => Queue.offer(idle, synced)), {
    concurrency: "unbounded"
  })

  const sampleSynced = (synced: Synced, unit: Unit) =>
    Effect.catchTag(sample(synced, unit), "NotSynced", () =>
      Effect.flatMap(load(synced.ref), (again) => sample(again, unit))
    )
  const onFree = (unit: Unit) =>
    Effect.acquireUseRelease(
      Queue.take(idle),
      (synced) => Effect.retry(sampleSynced(synced, unit), { times: tries - 1, while: isCrash }),
      (synced) => Queue.offer(idle, synced)
    )
  return { sample: onFree }
})

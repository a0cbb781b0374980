import { Effect, Queue } from "effect"
import type { ActorRef } from "../actor/index.ts"
import type { Policy, Unit } from "./messages.ts"
import type { SamplerProtocol, Synced } from "./Sampler.ts"
import { sample, sync } from "./Sampler.ts"

/** Times that a unit is sampled again after its sampler crashed under it. */
const retries = 2

/**
 * Loads a policy into every sampler, and gives a function that samples a unit on whichever is free. A sampler that
 * crashed comes back empty: it is loaded again and the unit made again, from the same draws, so with the same result.
 */
export const syncPool = Effect.fnUntraced(function* (
  samplers: ReadonlyArray<ActorRef<SamplerProtocol>>,
  policy: Policy
) {
  const idle = yield* Queue.unbounded<Synced>()
  yield* Effect.forEach(samplers, (ref) => Effect.flatMap(sync(ref, policy), (synced) => Queue.offer(idle, synced)), {
    concurrency: "unbounded"
  })
  const again = ({ ref }: Synced, unit: Unit) =>
    Effect.retry(
      Effect.flatMap(sync(ref, policy), (synced) => sample(synced, unit)),
      {
        times: retries - 1,
        while: (error) => error._tag === "ActorCrashed" || error._tag === "NotSynced"
      }
    )
  const onFree = (unit: Unit) =>
    Effect.acquireUseRelease(
      Queue.take(idle),
      (synced) =>
        Effect.catchTags(sample(synced, unit), {
          ActorCrashed: () => again(synced, unit),
          NotSynced: () => again(synced, unit)
        }),
      (synced) => Queue.offer(idle, synced)
    )
  return { sample: onFree }
})

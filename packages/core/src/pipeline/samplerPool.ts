import { Effect, Queue } from "effect"
import type { ActorRef } from "../actor/index.ts"
import type { Policy, Unit } from "./messages.ts"
import type { SamplerProtocol, Synced } from "./Sampler.ts"
import { sample, sync } from "./Sampler.ts"

/** Times that something is asked for again after its sampler crashed over it. */
const retries = 2

const crashed = (error: { readonly _tag: string }) => error._tag === "ActorCrashed" || error._tag === "NotSynced"

/**
 * Loads a policy into every sampler, and gives a function that samples a unit on whichever is free. A sampler that
 * crashed comes back empty: it is loaded again and the unit made again, from the same draws, so with the same result.
 */
export const syncPool = Effect.fnUntraced(function* (
  samplers: ReadonlyArray<ActorRef<SamplerProtocol>>,
  policy: Policy
) {
  const idle = yield* Queue.unbounded<Synced>()
  const load = (ref: ActorRef<SamplerProtocol>) =>
    Effect.retry(sync(ref, policy), { times: retries, while: (error) => crashed(error) })
  yield* Effect.forEach(samplers, (ref) => Effect.flatMap(load(ref), (synced) => Queue.offer(idle, synced)), {
    concurrency: "unbounded"
  })

  const again = (ref: ActorRef<SamplerProtocol>, unit: Unit) =>
    Effect.retry(
      Effect.flatMap(sync(ref, policy), (synced) => sample(synced, unit)),
      { times: retries - 1, while: (error) => crashed(error) }
    )
  const onFree = (unit: Unit) =>
    Effect.acquireUseRelease(
      Queue.take(idle),
      (synced) => Effect.catchIf(sample(synced, unit), crashed, () => again(synced.ref, unit)),
      (synced) => Queue.offer(idle, synced)
    )
  return { sample: onFree }
})

import { Effect, Queue } from "effect"
import type { Policy } from "./messages.ts"
import type { Progress } from "./Progress.ts"
import type { Sampled } from "./sampleStep.ts"
import { sampleStep } from "./sampleStep.ts"
import type { Running } from "./startRun.ts"

type SampleError = Effect.Error<ReturnType<typeof sampleStep>>

/** Steps that are sampled one after the other, beside the updates. */
export interface Ahead {
  /** The next step, once it is sampled. */
  readonly next: Effect.Effect<Sampled, SampleError>
  /** A step has made a policy: some later step is sampled with it. */
  readonly published: (policy: Policy) => Effect.Effect<void>
  /** Steps that are sampled and wait to be learned from. */
  readonly waiting: Effect.Effect<number>
}

/**
 * Samples the steps that are left, in their order. Step k is sampled with the policy that step k - 1 - lag has made (the first
 * policy, where there is none): which one is settled by the lag and never by who was faster. At a lag of 0 a step is
 * sampled once the one before is learned; at a lag of n there are at most n steps between them.
 */
export const sampleAhead = Effect.fnUntraced(function* (running: Running, from: Progress) {
  const { lag } = running.pipeline
  const { steps } = running.settings
  const policies = yield* Queue.unbounded<Policy>()
  yield* Queue.offerAll(policies, from.recent)
  const sampled = yield* Queue.unbounded<Sampled, SampleError>()

  const all = Effect.gen(function* () {
    let state = from.sampling
    // The oldest of `recent`: what step `from.step + 1` is sampled with.
    let policy = yield* Queue.take(policies)
    for (let step = from.step + 1; step <= steps; step++) {
      if (step > from.step + 1 && step - 1 - lag > 0) policy = yield* Queue.take(policies)
      const done = yield* sampleStep(running, policy, state, step)
      state = done.after
      yield* Queue.offer(sampled, done)
    }
  })
  yield* Effect.forkScoped(Effect.onError(all, (cause) => Queue.failCause(sampled, cause)))

  return {
    next: Queue.take(sampled),
    published: (policy) => Effect.asVoid(Queue.offer(policies, policy)),
    waiting: Queue.size(sampled)
  } satisfies Ahead
})

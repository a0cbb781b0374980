import { Effect } from "effect"
import type { Scope } from "effect"
import type { Handlers, Protocol } from "../actor/Protocol.ts"
import type { BackendError } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"

/**
 * The handlers of a stage, with its tensor work on a thread of its own where the backend has any: the stage is given that
 * thread's backend and knows of nothing. Once the thread has ended every answer is a crash, so that the actor restarts, with
 * another thread: also an answer that looks right, since what failed on the way may have been taken for an outcome (a verdict).
 * So is a `make` in which the thread ends.
 */
export const onThread = <P extends Protocol, E, R>(
  name: string,
  make: Effect.Effect<Handlers<P>, E, R | Backend>
): Effect.Effect<Handlers<P>, E | BackendError, Exclude<R, Backend> | Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const { thread } = yield* Backend
    const { backend, isAlive } = yield* thread({ name })
    const crashing = crashingUnless(isAlive)
    const handlers = yield* crashing(Effect.provideService(make, Backend, backend))
    type Handler = (payload: unknown) => Effect.Effect<unknown, unknown>
    const guarded = Object.entries<Handler>(handlers as Record<string, Handler>).map(([message, handle]) => [
      message,
      (payload: unknown) => crashing(handle(payload))
    ])
    return Object.fromEntries(guarded) as Handlers<P> // every message with its own handler, which answers as before or dies
  })

const crashingUnless =
  (isAlive: () => boolean) =>
  <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.matchEffect(work, {
      onSuccess: (answer) => (isAlive() ? Effect.succeed(answer) : Effect.die(new Error("its thread has ended"))),
      onFailure: (error) => (isAlive() ? Effect.fail(error) : Effect.die(error))
    })

import { Effect } from "effect"
import type { Scope } from "effect"
import type { Handlers, Protocol } from "../actor/Protocol.ts"
import type { BackendError } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"

/**
 * The handlers of a stage, with its tensor work on a thread of its own where the backend has any: the stage is given that
 * thread's backend and knows of nothing. Once the thread has ended every answer is a crash, so that the actor restarts, with
 * another thread: also an answer that looks right, since what failed on the way may have been taken for an outcome (a verdict).
 */
export const onThread = <P extends Protocol, E, R>(
  name: string,
  make: Effect.Effect<Handlers<P>, E, R | Backend>
): Effect.Effect<Handlers<P>, E | BackendError, Exclude<R, Backend> | Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const { thread } = yield* Backend
    const { backend, isAlive } = yield* thread({ name })
    const handlers = yield* Effect.provideService(make, Backend, backend)
    return crashingUnless(isAlive, handlers)
  })

const crashingUnless = <P extends Protocol>(isAlive: () => boolean, handlers: Handlers<P>): Handlers<P> => {
  type Handler = (payload: unknown) => Effect.Effect<unknown, unknown>
  const guarded = Object.entries<Handler>(handlers as Record<string, Handler>).map(([message, handle]) => [
    message,
    (payload: unknown) =>
      Effect.matchEffect(handle(payload), {
        onSuccess: (answer) => (isAlive() ? Effect.succeed(answer) : Effect.die(new Error("its thread has ended"))),
        onFailure: (error) => (isAlive() ? Effect.fail(error) : Effect.die(error))
      })
  ])
  return Object.fromEntries(guarded) as Handlers<P> // every message with its own handler, which answers as before or dies
}

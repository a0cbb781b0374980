import { Effect, Schedule } from "effect"
import { ActorCrashed, ActorStopped } from "../actor/index.ts"
import type { ActorRef, Protocol } from "../actor/index.ts"
import type { Supervisor } from "../actor/Supervisor.ts"

/** Times that an actor is asked the same: what has crashed it twice would crash it again. */
export const tries = 2

/** The handler crashed over the message: how far it came is unknown. */
export const isCrash = (error: unknown): boolean => error instanceof ActorCrashed

/**
 * The same actor for whoever needs its answer: while its supervisor starts it again, askers wait, and what has crashed it is asked
 * `times` in all. Every message of a run may be repeated: each names the step or the version that it is about, so that what
 * was done before its answer was lost is not done twice.
 */
export const steadfast = <P extends Protocol.Protocol>(
  supervisor: Supervisor,
  ref: ActorRef<P>,
  times: number = tries
): ActorRef<P> => {
  const ask = (...message: Parameters<ActorRef<P>["ask"]>) => {
    const whenThere = Effect.retry(ref.ask(...message), {
      while: (error) => error instanceof ActorStopped && !supervisor.stats.down,
      schedule: Schedule.spaced("50 millis")
    })
    return Effect.retry(whenThere, { times: times - 1, while: isCrash })
  }
  return {
    name: ref.name,
    protocol: ref.protocol,
    // It asks what it was given to ask.
    ask: ask as ActorRef<P>["ask"],
    get stats() {
      return ref.stats
    }
  }
}

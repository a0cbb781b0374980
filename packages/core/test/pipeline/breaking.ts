/** How stages are made to fail: in a way, at some of the calls, in virtual time. */
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Transport } from "../../src/actor/Transport.ts"

export const ways = ["dies", "throws", "stalls", "does it and dies"] as const
type Way = (typeof ways)[number]

type Handle<P, A, E, R> = (payload: P) => Effect.Effect<A, E, R>
/** A handler of which some calls, counting from 0, go wrong in a way. */
export type Break = <P, A, E, R>(handle: Handle<P, A, E, R>) => Handle<P, A, E, R>
export const breaking = (way: Way, isBroken: (call: number) => boolean) => {
  const seen = { calls: 0, broken: 0 }
  const broken: Break = (handle) => (payload) => {
    if (!isBroken(seen.calls++)) return handle(payload)
    seen.broken++
    switch (way) {
      case "dies":
        return Effect.die(new Error("a fault"))
      case "throws":
        throw new Error("a fault")
      case "stalls":
        // Time passes only for this.
        return Effect.andThen(Effect.forkDetach(TestClock.adjust("1 hour")), Effect.never)
      case "does it and dies":
        return Effect.andThen(handle(payload), Effect.die(new Error("a fault")))
    }
  }
  return { broken, seen }
}

/** Messages of a kind, broken. */
export const breakingMessages = (request: string, broken: Break): ReturnType<typeof Transport.defaultValue> => ({
  ...Transport.defaultValue(),
  deliver: (delivery, handle) =>
    delivery.request === request ? Effect.suspend(() => broken(() => handle)(undefined)) : handle
})

/** The makes of an actor, broken. */
export const breakingMakes = (actor: string, broken: Break): ReturnType<typeof Transport.defaultValue> => ({
  ...Transport.defaultValue(),
  make: (name, make) => (name === actor ? Effect.suspend(() => broken(() => make)(undefined)) : make)
})

/** Runs it in virtual time, which goes on slowly, so that back-offs end, and by an hour for whoever stalls. */
export const inVirtualTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const breath = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
    const clock = yield* Effect.forkChild(Effect.forever(Effect.andThen(breath, TestClock.adjust("50 millis"))))
    return yield* Effect.ensuring(effect, Fiber.interrupt(clock))
  })

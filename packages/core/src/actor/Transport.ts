/**
 * The way from a mailbox to a handler: a service, so that a simulation can watch it, and delay, double or lose what goes along
 * it. In production it does nothing.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/** A message that is about to be handled. */
export interface Delivery {
  readonly actor: string
  readonly request: string
  readonly payload: unknown
}

interface Service {
  /** Hands a message to its handler; what it fails or dies with, the handler fails or dies with. */
  readonly deliver: <A, E>(delivery: Delivery, handle: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Builds the state of an incarnation. */
  readonly make: <A, E, R>(actor: string, make: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

export const Transport = Context.Reference<Service>("@foretoken/core/Transport", {
  defaultValue: () => ({ deliver: (_, handle) => handle, make: (_, make) => make })
})

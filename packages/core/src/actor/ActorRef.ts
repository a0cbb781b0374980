/**
 * An actor from outside: its address, its counts, and the errors that asking can meet beside the protocol's own.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Protocol from "./Protocol.ts"

const firstLine = (text: string) => text.split("\n", 1)[0]

/** The handler of this message crashed. How far it came is unknown; it will not be delivered again. */
export class ActorCrashed extends Schema.TaggedError<ActorCrashed>()("ActorCrashed", {
  actor: Schema.String,
  request: Schema.String,
  /** The pretty-printed cause, with its stack. */
  cause: Schema.String
}) {
  override get message() {
    return `actor ${this.actor} crashed on ${this.request}: ${firstLine(this.cause)}`
  }
}

/** The restart budget is spent: the last word of an actor, to its supervisor. */
export class ActorFailed extends Schema.TaggedError<ActorFailed>()("ActorFailed", {
  actor: Schema.String,
  /** Crashes within the window of the budget. */
  crashes: Schema.Number,
  /** Where the last crash was: a message, "make" or "finalizers". */
  during: Schema.String,
  cause: Schema.String
}) {
  override get message() {
    const times = this.crashes === 1 ? "crashed" : `crashed ${this.crashes} times`
    return `actor ${this.actor} ${times} and is out of restarts, last in ${this.during}: ${firstLine(this.cause)}`
  }
}

/** The actor is not there (any more): the message was not begun, or, if it was running, was cut short. */
export class ActorStopped extends Schema.TaggedError<ActorStopped>()("ActorStopped", {
  actor: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `actor ${this.actor} has stopped: ${this.reason}`
  }
}

/** Counts since the actor was spawned, restarts included. */
export interface Stats {
  readonly name: string
  readonly phase: "making" | "serving" | "backing off" | "stopped"
  /** Messages answered with a success. */
  readonly handled: number
  /** Messages answered with a typed failure. */
  readonly failed: number
  /** Messages answered with `ActorCrashed`. */
  readonly crashed: number
  /** Messages whose caller was interrupted before they began. */
  readonly skipped: number
  /** Incarnations after the first. */
  readonly restarted: number
  /** Messages waiting now, at most `capacity`. */
  readonly queued: number
  /** Senders suspended now because the mailbox is full. */
  readonly suspended: number
}

/** An address: all that other actors know of this one. It stays good across restarts. */
export interface ActorRef<P extends Protocol.Protocol> {
  readonly name: string
  readonly protocol: P
  /** Sends a message and waits for the answer. Always ends: with the reply, a typed failure, or one of the two errors. */
  readonly ask: <M extends Protocol.Request<P>>(
    request: M,
    ...payload: Protocol.Arguments<P, M>
  ) => Effect.Effect<Protocol.Success<P, M>, Protocol.Failure<P, M> | ActorCrashed | ActorStopped>
  readonly stats: Stats
}

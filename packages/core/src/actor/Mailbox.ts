/**
 * The bounded queue in front of an actor, and the promise that goes with it: whoever asks is answered.
 *
 * A sender is suspended while the mailbox is full (back-pressure) and let in first come, first served. Closing answers
 * everybody who waits, in the queue or in front of it, and everybody who comes later, with `ActorStopped`.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import { ActorStopped } from "./ActorRef.ts"

/** A message on its way. Payload and reply are `unknown` here; `ActorRef.ask` gives them their types. */
export interface Envelope {
  readonly request: string
  readonly payload: unknown
  readonly reply: Deferred.Deferred<unknown, unknown>
  /** The caller was interrupted and listens no more. */
  abandoned: boolean
}

export interface Mailbox {
  readonly ask: (request: string, payload: unknown) => Effect.Effect<unknown, unknown>
  /** The next message; `Done` once the mailbox is closed. */
  readonly take: Effect.Effect<Envelope, Cause.Done>
  /** Closes, in one step that nothing can come between. Only the first reason counts. */
  readonly close: (reason: string) => void
  /** What callers of a closed mailbox get. */
  readonly stopped: () => Exit.Exit<never, ActorStopped>
  /** Messages accepted and not yet taken: never more than the capacity. */
  readonly queued: () => number
  /** Senders suspended because the mailbox is full. */
  readonly suspended: () => number
}

export const make = Effect.fnUntraced(function* (actor: string, capacity: number) {
  const queue = yield* Queue.bounded<Envelope, Cause.Done>(capacity)
  let reason = ""
  const stopped = () => Exit.fail(new ActorStopped({ actor, reason }))

  const ask = (request: string, payload: unknown) =>
    Effect.suspend(() => {
      const envelope: Envelope = { request, payload, reply: Deferred.makeUnsafe(), abandoned: false }
      return Effect.onInterrupt(
        Effect.flatMap(Queue.offer(queue, envelope), (accepted) =>
          accepted ? Deferred.await(envelope.reply) : stopped()
        ),
        () => Effect.sync(() => void (envelope.abandoned = true))
      )
    })

  const close = (why: string) => {
    if (queue.state._tag !== "Open") return
    reason = why
    // End first: an answered caller runs on at once, and may ask again before the next one is answered.
    Queue.endUnsafe(queue)
    for (let next = Queue.takeUnsafe(queue); next?._tag === "Success"; next = Queue.takeUnsafe(queue)) {
      Deferred.doneUnsafe(next.value.reply, stopped())
    }
  }

  const mailbox: Mailbox = {
    ask,
    take: Queue.take(queue),
    close,
    stopped,
    queued: () => Queue.sizeUnsafe(queue),
    suspended: () => (queue.state._tag === "Done" ? 0 : queue.state.offers.size)
  }
  return mailbox
})

/**
 * An actor: private state behind a bounded mailbox, one message at a time, rebuilt after a crash within a budget.
 *
 * - A handler's **typed failure** is an answer: the caller gets it, the actor goes on.
 * - A **defect** (throw, die, an interruption from inside, the time limit) is a crash: the caller gets `ActorCrashed`, the
 *   scope of this incarnation closes (finalizers run once), and after a back-off `make` builds the next one. Messages in
 *   the mailbox survive. The message that crashed is not delivered again (at most once): its caller decides.
 * - A **typed failure** of the first `make` is the spawner's, who gets it as it is: nothing has been served yet. A defect of it, and
 *   any failure of a later one, is a crash. Past the budget the spawner of what has never served gets `ActorStopped`.
 * - A `make` that fails more often in a row than the budget says is past it, however slowly: nobody would ever be answered.
 * - Past the **budget** the actor stops: everyone who waits and everyone who comes gets `ActorStopped` at once, and the
 *   failure goes to the supervisor, or to whoever watches `failed`.
 * - **Interrupting a caller** skips its message if it has not begun; one that has begun finishes, since half a change of
 *   state is worse than an answer nobody reads.
 * - **Closing the scope** refuses new and queued messages. After a success the running handler may finish within `grace`;
 *   after a failure or an interruption it is interrupted. Then the finalizers run.
 *
 * An actor that asks itself, directly or around a ring of actors, waits for itself: a `timeLimit` ends that.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { ActorCrashed, ActorFailed, ActorStopped } from "./ActorRef.ts"
import type { ActorRef, Stats } from "./ActorRef.ts"
import * as Mailbox from "./Mailbox.ts"
import type { Envelope } from "./Mailbox.ts"
import type * as Protocol from "./Protocol.ts"
import * as Restart from "./Restart.ts"
import { Transport } from "./Transport.ts"

export interface Options<P extends Protocol.Protocol, E, R> {
  readonly name: string
  /** Messages that may wait, beside the one that runs; a sender beyond that is suspended. */
  readonly capacity: number
  readonly restart: Restart.Restart
  /** A handler that takes longer crashes, and so does a `make`, which gets a minute at least. Unlimited unless given. */
  readonly timeLimit?: Duration.Input
  /** What a running handler gets to finish when the scope closes after a success: 5 seconds unless given. */
  readonly grace?: Duration.Input
  /** Builds the state of one incarnation and the handlers over it. Its scope closes when the incarnation ends. */
  readonly make: Effect.Effect<Protocol.Handlers<P>, E, R>
}

/** An actor that no supervisor watches: race your work with `failed`. */
export interface Unsupervised<P extends Protocol.Protocol> extends ActorRef<P> {
  /** Fails once the restart budget is spent; interrupted when the scope closes. */
  readonly failed: Effect.Effect<never, ActorFailed>
}

/** Spawns an actor that lives as long as the scope, and waits until its first `make` is through. */
export const spawn = <P extends Protocol.Protocol, E, R>(
  protocol: P,
  options: Options<P, E, R>
): Effect.Effect<Unsupervised<P>, E | ActorStopped, Exclude<R, Scope.Scope> | Scope.Scope> =>
  Effect.gen(function* () {
    const actor = yield* make(protocol, options)
    const death = Deferred.makeUnsafe<never, ActorFailed>()
    yield* Effect.acquireRelease(
      actor.start((failure) => Deferred.fail(death, failure)),
      (_, exit) => Effect.ensuring(actor.stop(exit, "its scope has closed"), Deferred.interrupt(death))
    )
    yield* actor.ready
    // The getter `stats` must stay one, so the reference is extended rather than copied.
    return Object.assign(actor.ref, { failed: Deferred.await(death) })
  })

/** A crashed message, as it was told to its caller; anything else with its own stack. */
const describe = (reason: Cause.Reason<unknown>) =>
  Cause.isFailReason(reason) && reason.error instanceof ActorCrashed
    ? reason.error.cause
    : Cause.pretty(Cause.fromReasons([reason]))

/** Dies with the defects of a stopped actor's finalizers. That it was interrupted, or crashed, is known where it matters. */
const defectsOnly = (cause: Cause.Cause<unknown>) => {
  const defects = cause.reasons.filter(Cause.isDieReason)
  return defects.length === 0 ? Effect.void : Effect.failCause(Cause.fromReasons<never>(defects))
}

/** An actor as its supervisor sees it, whatever its protocol. */
export interface Supervised {
  readonly ref: { readonly name: string; readonly stats: Stats }
  /**
   * Starts it with an empty mailbox: at first, and again after it has stopped. `onFailed` hears of a spent budget, unless nothing
   * was ever served: that is for the spawner, who waits.
   */
  readonly start: (onFailed: (failure: ActorFailed) => Effect.Effect<unknown>) => Effect.Effect<void>
  /** Stops it as the scope's `exit` says; afterwards every caller is answered and every finalizer has run. */
  readonly stop: (exit: Exit.Exit<unknown, unknown>, reason: string) => Effect.Effect<void>
}

interface Actor<P extends Protocol.Protocol, E> extends Supervised {
  readonly ref: ActorRef<P>
  /** Waits until a first `make` has come through. */
  readonly ready: Effect.Effect<void, E | ActorStopped>
}

/** Puts an actor together without starting it. For supervisors; everyone else wants {@link spawn}. */
export const make = <P extends Protocol.Protocol, E, R>(
  protocol: P,
  options: Options<P, E, R>
): Effect.Effect<Actor<P, E>, never, Exclude<R, Scope.Scope>> =>
  Effect.gen(function* () {
    const { name, capacity, restart, timeLimit, grace = "5 seconds" } = options
    if (!Number.isInteger(capacity) || capacity < 1) {
      return yield* Effect.die(
        new RangeError(`capacity of actor ${name} is ${capacity}, but must be a whole number >= 1`)
      )
    }
    const transport = yield* Transport
    const context: Context.Context<Exclude<R, Scope.Scope>> = yield* Effect.context<Exclude<R, Scope.Scope>>()
    const ready = Deferred.makeUnsafe<void, E | ActorStopped>()
    const counts = { handled: 0, failed: 0, crashed: 0, skipped: 0, incarnations: 0 }
    let phase: Stats["phase"] = "stopped"
    let mailbox = yield* Mailbox.make(name, capacity)
    let fiber: Fiber.Fiber<void> | undefined
    let running: Envelope | undefined
    let during = "make"
    let hasServed = false

    const inTime = <A, E, R>(work: Effect.Effect<A, E, R>, least: Duration.Duration): Effect.Effect<A, E, R> => {
      if (timeLimit === undefined) return work
      const duration = Duration.max(Duration.fromInputUnsafe(timeLimit), least)
      return Effect.timeoutOrElse(work, {
        duration,
        orElse: () => Effect.die(new Error(`no answer within ${Duration.format(duration)}`))
      })
    }

    const handle = (handlers: Protocol.Handlers<P>, { request, payload }: Envelope) => {
      // `ask` let only requests of P with their own payload into the mailbox.
      const handler = handlers[request as Protocol.Request<P>] as (payload: unknown) => Effect.Effect<unknown, unknown>
      const delivery = { actor: name, request, payload }
      const handled = Effect.suspend(() => handler(payload))
      const delivered = Effect.suspend(() => transport.deliver(delivery, handled))
      return inTime(delivered, Duration.zero)
    }

    const serve = Effect.fnUntraced(function* (handlers: Protocol.Handlers<P>) {
      phase = "serving"
      hasServed = true
      Deferred.doneUnsafe(ready, Exit.void)
      while (true) {
        during = "finalizers"
        const envelope = yield* mailbox.take
        if (envelope.abandoned) {
          counts.skipped++
          continue
        }
        running = envelope
        during = envelope.request
        const exit = yield* Effect.exit(handle(handlers, envelope))
        running = undefined
        if (Exit.isSuccess(exit)) {
          counts.handled++
          Deferred.doneUnsafe(envelope.reply, exit)
        } else if (Cause.hasFails(exit.cause) && !Cause.hasDies(exit.cause)) {
          counts.failed++
          // Only the failure: what it interrupted on its way must not interrupt the caller.
          const failures = Cause.fromReasons(exit.cause.reasons.filter(Cause.isFailReason))
          Deferred.doneUnsafe(envelope.reply, Exit.failCause(failures))
        } else {
          counts.crashed++
          const crash = new ActorCrashed({ actor: name, request: during, cause: Cause.pretty(exit.cause) })
          Deferred.doneUnsafe(envelope.reply, Exit.fail(crash))
          return yield* crash
        }
      }
    })

    const incarnation = Effect.suspend(() => {
      phase = "making"
      during = "make"
      counts.incarnations++
      return inTime(transport.make(name, options.make), Duration.minutes(1))
    }).pipe(
      Effect.flatMap((handlers) => Effect.catchIf(serve(handlers), Cause.isDone, () => Effect.void)),
      Effect.scoped
    )

    const life = Effect.gen(function* () {
      let crashes: ReadonlyArray<number> = []
      let unmade = 0
      while (true) {
        const exit = yield* Effect.exit(incarnation)
        unmade = phase === "making" ? unmade + 1 : 0
        if (Exit.isSuccess(exit)) return
        if (phase === "stopped") return yield* defectsOnly(exit.cause)
        if (!hasServed && Cause.hasFails(exit.cause) && !Cause.hasDies(exit.cause)) {
          // This is a failure of `make`, with its type.
          Deferred.doneUnsafe(ready, Exit.failCause(exit.cause as Cause.Cause<E>))
          return
        }
        const verdict = Restart.afterCrash(restart, crashes, yield* Clock.currentTimeMillis)
        crashes = verdict.crashes
        if (verdict._tag === "Spent" || unmade > restart.budget) {
          const cause = exit.cause.reasons.map(describe).join("\n")
          return yield* new ActorFailed({ actor: name, crashes: Math.max(crashes.length, unmade), during, cause })
        }
        phase = "backing off"
        if (!Duration.isZero(verdict.delay)) yield* Effect.sleep(verdict.delay)
      }
    })

    const close = (reason: string) => {
      phase = "stopped"
      mailbox.close(reason)
      Deferred.doneUnsafe(ready, mailbox.stopped())
    }

    const start: Supervised["start"] = Effect.fnUntraced(function* (onFailed) {
      mailbox = yield* Mailbox.make(name, capacity)
      phase = "making"
      fiber = yield* life.pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            close(Exit.isFailure(exit) ? Cause.prettyErrors(exit.cause)[0].message : "its first make failed")
            if (running !== undefined) Deferred.doneUnsafe(running.reply, mailbox.stopped())
            running = undefined
          })
        ),
        Effect.catch((failure) => (hasServed ? onFailed(failure) : Effect.void)),
        Effect.asVoid,
        Effect.provideContext(context),
        Effect.forkDetach
      )
    })

    const stop: Supervised["stop"] = Effect.fnUntraced(function* (exit, reason) {
      close(reason)
      if (fiber === undefined) return
      if (Exit.isSuccess(exit) && running !== undefined) {
        yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), grace)
      }
      yield* Fiber.interrupt(fiber)
      const end = yield* Fiber.await(fiber)
      if (Exit.isFailure(end)) yield* defectsOnly(end.cause)
    })

    const ref: ActorRef<P> = {
      name,
      protocol,
      // The handler of M answers with these types; the mailbox in between only carries them. It is the one of the moment: what is
      // asked again may meet another.
      ask: ((request: string, payload: unknown) =>
        Effect.suspend(() => mailbox.ask(request, payload))) as ActorRef<P>["ask"],
      get stats() {
        const { incarnations, ...counted } = counts
        const restarted = Math.max(0, incarnations - 1)
        return { name, phase, ...counted, restarted, queued: mailbox.queued(), suspended: mailbox.suspended() }
      }
    }
    return { ref, start, ready: Deferred.await(ready), stop }
  })

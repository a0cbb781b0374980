/**
 * A supervisor owns actors and decides what becomes of the others when one has spent its restart budget.
 *
 * Two tiers. An actor restarts itself within its own budget and keeps its mailbox; nobody else notices. Past that it has
 * stopped, its callers have been told, and the supervisor starts it again, with an empty mailbox and a fresh budget, together
 * with those its strategy names. That spends the supervisor's own budget; past it, every child is stopped and `failed` fails.
 * A child that fails again and again without ever answering is past it, too, however slowly it does.
 *
 * Death is linked in both directions: closing the supervisor's scope stops the children, last started first, and a failure
 * of the supervisor interrupts what runs under `link`.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Actor from "./Actor.ts"
import type { ActorFailed, ActorRef, ActorStopped, Stats } from "./ActorRef.ts"
import type * as Protocol from "./Protocol.ts"
import * as Restart from "./Restart.ts"

/** A child is beyond help: all children have stopped. */
export class SupervisorFailure extends Schema.TaggedError<SupervisorFailure>()("SupervisorFailure", {
  supervisor: Schema.String,
  actor: Schema.String,
  /** The pretty-printed cause of the child's last crash, or of a finalizer that broke while stopping. */
  cause: Schema.String
}) {
  override get message() {
    return `supervisor ${this.supervisor} gave up on actor ${this.actor}: ${this.cause.split("\n", 1)[0]}`
  }
}

/** Who is started again with a failed child: itself, all children, or itself and those spawned after it. */
export type Strategy = "one-for-one" | "one-for-all" | "rest-for-one"

export interface Options {
  readonly name: string
  readonly strategy: Strategy
  /** Budget and back-off of the restarts by the supervisor, all children together. */
  readonly restart: Restart.Restart
}

export interface Supervisor {
  readonly name: string
  /** Spawns a child, as {@link Actor.spawn} does; it lives as long as the supervisor. */
  readonly spawn: <P extends Protocol.Protocol, E, R>(
    protocol: P,
    options: Actor.Options<P, E, R>
  ) => Effect.Effect<ActorRef<P>, E | ActorStopped, Exclude<R, Scope.Scope>>
  /** Fails when the supervisor gives up, after every child has stopped; interrupted when its scope closes. */
  readonly failed: Effect.Effect<never, SupervisorFailure>
  /** Runs an effect that is interrupted, and fails, when the supervisor gives up. */
  readonly link: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | SupervisorFailure, R>
  /** Restarts by the supervisor, whether it has given up or closed, and the counts of each child in the order of spawning. */
  readonly stats: { readonly restarted: number; readonly down: boolean; readonly actors: ReadonlyArray<Stats> }
}

interface Child {
  readonly actor: Actor.Supervised
  /** Its budget is spent and it has not been started again yet. */
  dead: boolean
  /** Messages that it had answered when it was started last, and deaths in a row without one more. */
  answered: number
  fruitless: number
}

interface Death {
  readonly child: Child
  readonly failure: ActorFailed
}

export const make = (options: Options): Effect.Effect<Supervisor, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { name, strategy, restart } = options
    const deaths = yield* Queue.unbounded<Death>()
    const failed = Deferred.makeUnsafe<never, SupervisorFailure>()
    const children: Array<Child> = []
    let restarted = 0
    let down: string | undefined

    const start = (child: Child) =>
      Effect.gen(function* () {
        child.dead = false
        child.answered = child.actor.ref.stats.handled
        yield* child.actor.start((failure) => {
          child.dead = true
          return Queue.offer(deaths, { child, failure })
        })
        // Whoever stopped or dismissed it a moment ago may have come before it ran.
        if (down !== undefined || !children.includes(child)) {
          yield* child.actor.stop(Exit.interrupt(), down ?? "it was dismissed")
        }
      })

    /** Stops each one, last started first, and only then reports the finalizers that broke. */
    const stop = (some: ReadonlyArray<Child>, exit: Exit.Exit<unknown, unknown>, reason: string) =>
      Effect.forEach(some.toReversed(), ({ actor }) => Effect.exit(actor.stop(exit, reason))).pipe(
        Effect.flatMap((exits) => Exit.asVoidAll(exits))
      )

    const affected = (child: Child) => {
      if (strategy === "one-for-one") return [child]
      return strategy === "one-for-all" ? [...children] : children.slice(children.indexOf(child))
    }

    const giveUp = (actor: string, cause: string) =>
      Effect.gen(function* () {
        const failure = new SupervisorFailure({ supervisor: name, actor, cause })
        down = failure.message
        yield* Effect.exit(stop(children, Exit.fail(failure), down))
        yield* Deferred.fail(failed, failure)
      }).pipe(Effect.uninterruptible)

    const supervise = Effect.gen(function* () {
      let earlier: ReadonlyArray<number> = []
      while (true) {
        const { child, failure } = yield* Queue.take(deaths)
        if (!child.dead) continue // Started again with a sibling since.
        const verdict = Restart.afterCrash(restart, earlier, yield* Clock.currentTimeMillis)
        child.fruitless = child.actor.ref.stats.handled > child.answered ? 1 : child.fruitless + 1
        const isSpent = verdict._tag === "Spent" || child.fruitless > restart.budget
        if (isSpent) return yield* giveUp(failure.actor, `${failure.message}\n${failure.cause}`)
        earlier = verdict.crashes
        const group = affected(child)
        const stopping = yield* Effect.exit(stop(group, Exit.fail(failure), failure.message))
        if (Exit.isFailure(stopping)) return yield* giveUp(failure.actor, Cause.pretty(stopping.cause))
        if (!Duration.isZero(verdict.delay)) yield* Effect.sleep(verdict.delay)
        restarted++
        yield* Effect.uninterruptible(Effect.forEach(group, start, { discard: true }))
      }
    })

    yield* Effect.acquireRelease(Effect.forkDetach(supervise), (fiber, exit) =>
      Effect.suspend(() => {
        down ??= `the scope of its supervisor ${name} has closed`
        return Fiber.interrupt(fiber).pipe(
          Effect.andThen(stop(children, exit, down)),
          Effect.ensuring(Deferred.interrupt(failed))
        )
      })
    )

    const spawn: Supervisor["spawn"] = (protocol, options) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const actor = yield* Actor.make(protocol, options)
          const child: Child = { actor, dead: false, answered: 0, fruitless: 0 }
          const dismiss = (exit: Exit.Exit<unknown, unknown>, reason: string) =>
            Effect.suspend(() => {
              if (children.includes(child)) children.splice(children.indexOf(child), 1)
              return actor.stop(exit, reason)
            })
          children.push(child)
          yield* start(child)
          yield* Effect.onError(restore(actor.ready), (cause) =>
            dismiss(Exit.failCause(cause), "its first make failed")
          )
          return actor.ref
        })
      )

    return {
      name,
      spawn,
      failed: Deferred.await(failed),
      link: (effect) => Effect.raceFirst(effect, Deferred.await(failed)),
      get stats() {
        return { restarted, down: down !== undefined, actors: children.map((child) => child.actor.ref.stats) }
      }
    }
  })

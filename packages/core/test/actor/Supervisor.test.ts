import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type ActorRef, ActorCrashed, ActorStopped, Supervisor } from "@foretoken/core"
import { Counter, atOnce, makeCounter, restarts, trace } from "./fixtures.ts"

const settle = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow, { discard: true })

/** Three children without restarts of their own, so that every crash is the supervisor's. */
const family = (strategy: Supervisor.Strategy, budget: number) =>
  Effect.gen(function* () {
    const logs = [trace(), trace(), trace()]
    const order: Array<string> = []
    const supervisor = yield* Supervisor.make({ name: "family", strategy, restart: restarts(budget) })
    const refs = yield* Effect.forEach(logs, (log, i) =>
      supervisor.spawn(Counter, {
        name: `child ${i}`,
        capacity: 4,
        restart: atOnce(0),
        make: Effect.andThen(
          Effect.acquireRelease(
            Effect.sync(() => order.push(`up ${i}`)),
            () => Effect.sync(() => order.push(`down ${i}`))
          ),
          makeCounter(log)
        )
      })
    )
    order.length = 0
    return { supervisor, refs, logs, order }
  })

const crash = (ref: ActorRef<typeof Counter>) => Effect.flip(ref.ask("Die", { why: "bad weights" }))

describe("a child that has spent its budget", () => {
  it.effect("is started again alone under one-for-one, at the same address and with an empty mailbox", () =>
    Effect.gen(function* () {
      const { supervisor, refs, order } = yield* family("one-for-one", 1)
      yield* refs[0].ask("Add", { n: 1 })
      assert.instanceOf(yield* crash(refs[1]), ActorCrashed)
      assert.instanceOf(yield* Effect.flip(refs[1].ask("Add", { n: 1 })), ActorStopped)
      yield* TestClock.adjust("1 second")
      expect(yield* refs[1].ask("Add", { n: 1 })).toBe(1)
      expect(yield* refs[0].ask("Add", { n: 1 })).toBe(2)
      expect(order).toEqual(["down 1", "up 1"])
      expect(supervisor.stats).toMatchObject({ restarted: 1, actors: [{ restarted: 0 }, { restarted: 1 }, {}] })
    })
  )

  it.effect("is started again with all others under one-for-all: last started first down, first started first up", () =>
    Effect.gen(function* () {
      const { refs, order } = yield* family("one-for-all", 1)
      yield* refs[0].ask("Add", { n: 1 })
      const running = yield* Effect.forkChild(Effect.flip(refs[2].ask("Forever")))
      const queued = yield* Effect.forkChild(Effect.flip(refs[2].ask("Add", { n: 1 })))
      yield* settle
      yield* crash(refs[1])
      const told = [yield* Fiber.join(running), yield* Fiber.join(queued)]
      for (const error of told) expect(error.message).toContain("actor child 2 has stopped: actor child 1 crashed")
      yield* TestClock.adjust("1 second")
      expect(yield* refs[0].ask("Add", { n: 1 })).toBe(1)
      expect(order).toEqual(["down 1", "down 2", "down 0", "up 0", "up 1", "up 2"])
    })
  )

  it.effect("is started again with those spawned after it under rest-for-one", () =>
    Effect.gen(function* () {
      const { refs, order } = yield* family("rest-for-one", 1)
      yield* refs[0].ask("Add", { n: 1 })
      yield* crash(refs[1])
      yield* TestClock.adjust("1 second")
      expect(yield* refs[0].ask("Add", { n: 1 })).toBe(2)
      expect(order).toEqual(["down 1", "down 2", "up 1", "up 2"])
    })
  )

  it.effect("spends one restart when a sibling that is started again with it had failed at the same moment", () =>
    Effect.gen(function* () {
      const { supervisor, refs } = yield* family("one-for-all", 1)
      yield* Effect.all([crash(refs[0]), crash(refs[1]), crash(refs[2])], { concurrency: "unbounded" })
      yield* TestClock.adjust("1 second")
      expect(supervisor.stats.restarted).toBe(1)
      for (const ref of refs) expect(yield* ref.ask("Add", { n: 1 })).toBe(1)
    })
  )
})

describe("linked death", () => {
  it.effect("a supervisor out of restarts stops every child, tells every caller, then fails what is linked to it", () =>
    Effect.gen(function* () {
      const { supervisor, refs, order } = yield* family("one-for-one", 1)
      const linked = yield* Effect.forkChild(Effect.flip(supervisor.link(Effect.never)))
      const running = yield* Effect.forkChild(Effect.flip(refs[2].ask("Forever")))
      yield* crash(refs[0])
      yield* TestClock.adjust("1 second")
      yield* crash(refs[1])
      const failure = yield* Fiber.join(linked)
      assert.instanceOf(failure, Supervisor.SupervisorFailure)
      expect(failure.message).toBe(
        "supervisor family gave up on actor child 1: " +
          "actor child 1 crashed and is out of restarts, last in Die: Error: bad weights"
      )
      expect(order).toEqual(["down 0", "up 0", "down 1", "down 2", "down 0"])
      expect((yield* Fiber.join(running)).message).toContain("supervisor family gave up")
      for (const ref of refs) assert.instanceOf(yield* Effect.flip(ref.ask("Add", { n: 1 })), ActorStopped)
      const late = { name: "late", capacity: 1, restart: atOnce(0), make: makeCounter(trace()) }
      assert.instanceOf(yield* Effect.flip(supervisor.spawn(Counter, late)), ActorStopped)
    })
  )

  it.effect(
    "closing the supervisor's scope stops the children, last started first, and ends what is linked to it",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { supervisor, refs, order } = yield* Scope.provide(family("one-for-one", 1), scope)
        const linked = yield* Effect.forkChild(supervisor.link(Effect.never))
        const finishing = yield* Effect.forkChild(refs[1].ask("Sleep", { ms: 1000 }))
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(closing)
        yield* Fiber.join(finishing)
        expect(order).toEqual(["down 2", "down 1", "down 0"])
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(linked)))
      })
  )

  it.effect("closing during a back-off neither waits for it nor starts anything again", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { refs, order } = yield* Scope.provide(family("one-for-one", 1), scope)
      yield* crash(refs[1])
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      expect(order).toEqual(["down 1", "down 2", "down 0"])
    })
  )

  it.effect("a child that never answers spends the supervisor's budget however slowly it dies", () =>
    Effect.gen(function* () {
      const { supervisor, refs } = yield* family("one-for-one", 2)
      yield* refs[0].ask("Add", { n: 1 })
      const failed = yield* Effect.forkChild(Effect.flip(supervisor.failed))
      for (const [ref, deaths] of [
        [refs[0], 1],
        [refs[1], 3]
      ] as const) {
        for (let death = 0; death < deaths; death++) {
          yield* crash(ref)
          yield* TestClock.adjust("1 hour")
        }
      }
      expect((yield* Fiber.join(failed)).message).toContain("gave up on actor child 1")
    })
  )

  it.effect("a message that is sent again goes to the actor that there is now", () =>
    Effect.gen(function* () {
      const { supervisor, refs } = yield* family("one-for-one", 1)
      const add = refs[1].ask("Add", { n: 1 })
      yield* crash(refs[1])
      expect((yield* Effect.flip(add))._tag).toBe("ActorStopped")
      yield* TestClock.adjust("1 second")
      expect(supervisor.stats).toMatchObject({ restarted: 1, down: false })
      expect(yield* add).toBe(1)
    })
  )

  it.effect("what is linked goes through untouched while nothing dies", () =>
    Effect.gen(function* () {
      const { supervisor } = yield* family("one-for-one", 1)
      expect(yield* supervisor.link(Effect.succeed(7))).toBe(7)
      expect(yield* Effect.flip(supervisor.link(Effect.fail("its own")))).toBe("its own")
    })
  )

  it.effect("a sibling's finalizer that dies while it is stopped ends the supervisor rather than vanish", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const supervisor = yield* Scope.provide(
        Supervisor.make({ name: "family", strategy: "one-for-all", restart: restarts(3) }),
        scope
      )
      const options = { capacity: 1, restart: atOnce(0) }
      const good = yield* supervisor.spawn(Counter, { ...options, name: "good", make: makeCounter(trace()) })
      const make = Effect.andThen(
        Effect.addFinalizer(() => Effect.die("cannot close")),
        makeCounter(trace())
      )
      yield* supervisor.spawn(Counter, { ...options, name: "bad", make })
      yield* settle
      yield* crash(good)
      expect((yield* Effect.flip(supervisor.failed)).cause).toContain("cannot close")
      yield* Effect.exit(Scope.close(scope, Exit.void))
    })
  )
})

describe("spawning a child", () => {
  it.effect("whose first `make` fails gives the failure to the spawner and leaves no child behind", () =>
    Effect.gen(function* () {
      const { supervisor } = yield* family("one-for-one", 0)
      const make = Effect.andThen(Effect.fail("no such model"), makeCounter(trace()))
      const child = { name: "late", capacity: 1, restart: atOnce(0), make }
      expect(yield* Effect.flip(supervisor.spawn(Counter, child))).toBe("no such model")
      expect(supervisor.stats.actors.map((actor) => actor.name)).toEqual(["child 0", "child 1", "child 2"])
    })
  )

  it.effect("whose first `make` crashes past its budget tells the spawner and nobody else", () =>
    Effect.gen(function* () {
      const { supervisor, refs } = yield* family("one-for-all", 1)
      let made = 0
      const make = Effect.suspend(() => Effect.die(new Error(`broken ${++made}`)))
      const child = { name: "late", capacity: 1, restart: atOnce(1), make }
      const error = yield* Effect.flip(supervisor.spawn(Counter, child))
      expect(error.message).toMatch(/^actor late has stopped: .* out of restarts, last in make: Error: broken 2$/)
      yield* TestClock.adjust("1 minute")
      expect(supervisor.stats).toMatchObject({ restarted: 0, down: false })
      expect(supervisor.stats.actors.length).toBe(3)
      expect(yield* refs[0].ask("Add", { n: 1 })).toBe(1)
      expect(made).toBe(2)
    })
  )

  it.effect("that is still being made when all are started again ends with ActorStopped and is not brought back", () =>
    Effect.gen(function* () {
      const { supervisor, refs } = yield* family("one-for-all", 1)
      const log = trace()
      const make = Effect.andThen(makeCounter(log), Effect.never)
      const child = { name: "slow", capacity: 1, restart: atOnce(0), make }
      const spawning = yield* Effect.forkChild(Effect.flip(supervisor.spawn(Counter, child)))
      yield* settle
      yield* crash(refs[0])
      assert.instanceOf(yield* Fiber.join(spawning), ActorStopped)
      yield* TestClock.adjust("1 second")
      expect(supervisor.stats.actors.length).toBe(3)
      expect(log).toMatchObject({ made: [0], finalized: [0] })
    })
  )
})

import { assert, describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Actor, ActorCrashed, ActorFailed, ActorStopped } from "@foretoken/core"
import { Counter, atOnce, makeCounter, restarts, trace } from "./fixtures.ts"

const options = { name: "counter", capacity: 4, restart: restarts(2) }
const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

describe("asking", () => {
  it.effect("answers with the handler's success, one message after the other, on the same state", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(Counter, { ...options, make: makeCounter(trace()) })
      expect(yield* ref.ask("Add", { n: 2 })).toBe(2)
      expect(yield* ref.ask("Add", { n: 3 })).toBe(5)
      expect(ref.stats).toEqual({
        name: "counter",
        phase: "serving",
        handled: 2,
        failed: 0,
        crashed: 0,
        skipped: 0,
        restarted: 0,
        queued: 0,
        suspended: 0
      })
    })
  )

  it.effect("passes typed arrays by reference in both directions", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(Counter, { ...options, make: makeCounter(trace()) })
      const array = new Float32Array(1000)
      assert.strictEqual(yield* ref.ask("Echo", { array }), array)
    })
  )

  it.effect("knows the types of every message", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(Counter, { ...options, make: makeCounter(trace()) })
      const sum: number = yield* Effect.orDie(ref.ask("Add", { n: 1 }))
      expect(sum).toBe(1)
      const refused: Effect.Effect<void, string | ActorCrashed | ActorStopped> = ref.ask("Refuse", { why: "no" })
      expect(yield* Effect.flip(refused)).toBe("no")
      // @ts-expect-error Add carries a number
      void ref.ask("Add", { n: "1" })
      // @ts-expect-error there is no such message
      void ref.ask("Subtract", { n: 1 })
      // @ts-expect-error Throw carries nothing
      void ref.ask("Throw", { n: 1 })
    })
  )

  it.effect("hands a typed failure to its caller and does not restart", () =>
    Effect.gen(function* () {
      const seen = trace()
      const ref = yield* Actor.spawn(Counter, { ...options, make: makeCounter(seen) })
      yield* ref.ask("Add", { n: 1 })
      expect(yield* Effect.flip(ref.ask("Refuse", { why: "no such problem" }))).toBe("no such problem")
      expect(yield* ref.ask("Add", { n: 1 })).toBe(2)
      expect(seen.made).toEqual([0])
      expect(ref.stats).toMatchObject({ failed: 1, crashed: 0, restarted: 0 })
    })
  )
})

describe("back-pressure", () => {
  it.effect("suspends senders once the mailbox is full, and lets them in first come, first served", () =>
    Effect.gen(function* () {
      const seen = trace()
      const ref = yield* Actor.spawn(Counter, { ...options, capacity: 3, make: makeCounter(seen) })
      const first = yield* Effect.forkChild(ref.ask("Sleep", { ms: 1000 }))
      yield* settle
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7], (n) => Effect.forkChild(ref.ask("Add", { n })))
      yield* settle
      expect(ref.stats).toMatchObject({ handled: 0, queued: 3, suspended: 4 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(first)
      expect(yield* Fiber.joinAll(fibers)).toEqual([1, 3, 6, 10, 15, 21, 28])
      expect(ref.stats).toMatchObject({ handled: 8, queued: 0, suspended: 0 })
    })
  )

  it.effect("refuses a capacity that is no whole number of messages", () =>
    Effect.gen(function* () {
      for (const capacity of [0, -1, 1.5, Number.NaN, Infinity]) {
        const exit = yield* Effect.exit(Actor.spawn(Counter, { ...options, capacity, make: makeCounter(trace()) }))
        expect(String(exit)).toContain(`capacity of actor counter is ${capacity}`)
      }
    })
  )
})

describe("a crash", () => {
  const crashes = [
    ["a defect", "Die", { why: "out of tokens" }, "out of tokens"],
    ["a throw outside of the effect", "Throw", undefined, "thrown outside of any effect"],
    ["an interruption from inside", "InterruptItself", undefined, "interrupt"]
  ] as const
  for (const [what, request, payload, text] of crashes) {
    it.effect(
      `from ${what} fails its caller with ActorCrashed and restarts with a fresh state and the old mailbox`,
      () =>
        Effect.gen(function* () {
          const seen = trace()
          const ref = yield* Actor.spawn(Counter, { ...options, make: makeCounter(seen) })
          yield* ref.ask("Add", { n: 100 })
          const ask = ref.ask as (request: string, payload: unknown) => Effect.Effect<unknown, ActorCrashed> // every case
          const crashed = yield* Effect.forkChild(Effect.flip(ask(request, payload)))
          const queued = yield* Effect.forkChild(ref.ask("Add", { n: 1 }))
          const error = yield* Fiber.join(crashed)
          assert.instanceOf(error, ActorCrashed)
          expect(error).toMatchObject({ actor: "counter", request })
          expect(error.cause.toLowerCase()).toContain(text)
          yield* settle
          expect(ref.stats).toMatchObject({ phase: "backing off", queued: 1, crashed: 1, restarted: 0 })
          expect(seen.finalized).toEqual([0])
          yield* TestClock.adjust("1 second")
          expect(yield* Fiber.join(queued)).toBe(1)
          expect(seen.made).toEqual([0, 1])
          expect(ref.stats).toMatchObject({ phase: "serving", restarted: 1 })
        })
    )
  }

  it.effect("does not deliver the message again", () =>
    Effect.gen(function* () {
      let deliveries = 0
      const make = Effect.map(makeCounter(trace()), (handlers) => ({
        ...handlers,
        Throw: () => Effect.die(`delivery ${++deliveries}`)
      }))
      const ref = yield* Actor.spawn(Counter, { ...options, restart: atOnce(3), make })
      yield* Effect.flip(ref.ask("Throw"))
      expect(yield* ref.ask("Add", { n: 1 })).toBe(1)
      expect(deliveries).toBe(1)
    })
  )

  it.effect("is what a message past its time limit ends in", () =>
    Effect.gen(function* () {
      const ref = yield* Actor.spawn(Counter, { ...options, timeLimit: "5 seconds", make: makeCounter(trace()) })
      const fiber = yield* Effect.forkChild(Effect.flip(ref.ask("Forever")))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      expect(error.message).toBe("actor counter crashed on Forever: Error: no answer within 5s")
      yield* TestClock.adjust("1 second")
      expect(yield* ref.ask("Add", { n: 1 })).toBe(1)
    })
  )

  it.effect("is what a later make that never ends comes to, too", () =>
    Effect.gen(function* () {
      let made = 0
      const make = Effect.suspend(() => (++made === 2 ? Effect.never : makeCounter(trace())))
      const ref = yield* Actor.spawn(Counter, { ...options, timeLimit: "10 seconds", make })
      const crash = yield* Effect.flip(ref.ask("Throw"))
      assert.strictEqual(crash._tag, "ActorCrashed")
      const asked = yield* Effect.forkChild(ref.ask("Add", { n: 1 }))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(asked), 1)
      assert.strictEqual(made, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("of one make after the other, however slow, stops the actor past its budget", () =>
    Effect.gen(function* () {
      let made = 0
      const make = Effect.suspend(() => (++made > 1 ? Effect.never : makeCounter(trace())))
      const ref = yield* Actor.spawn(Counter, { ...options, timeLimit: "1 hour", make })
      yield* Effect.flip(ref.ask("Throw"))
      const asked = yield* Effect.forkChild(Effect.flip(ref.ask("Add", { n: 1 })))
      yield* TestClock.adjust("4 hours")
      assert.instanceOf(yield* Fiber.join(asked), ActorStopped)
      assert.strictEqual(made, 4)
    })
  )

  it.effect("it is not, when a typed failure interrupts its siblings: the caller gets the failure alone", () =>
    Effect.gen(function* () {
      const both = Cause.combine(Cause.fail("one of two"), Cause.interrupt(1))
      const make = Effect.map(makeCounter(trace()), (handlers) => ({
        ...handlers,
        Refuse: () => Effect.failCause(both)
      }))
      const ref = yield* Actor.spawn(Counter, { ...options, make })
      expect(yield* Effect.exit(ref.ask("Refuse", { why: "" }))).toEqual(Exit.fail("one of two"))
      expect(ref.stats).toMatchObject({ failed: 1, crashed: 0 })
    })
  )
})

describe("the restart budget", () => {
  it.effect(
    "once spent stops the actor: who waits and who comes later gets ActorStopped at once, and `failed` fails",
    () =>
      Effect.gen(function* () {
        const seen = trace()
        const ref = yield* Actor.spawn(Counter, {
          ...options,
          capacity: 2,
          restart: atOnce(0),
          make: makeCounter(seen)
        })
        const watched = yield* Effect.forkChild(Effect.flip(ref.failed))
        const asks = ["Die", "Add", "Add", "Add", "Add", "Add"] as const
        const fibers = yield* Effect.forEach(asks, (request) =>
          Effect.forkChild(Effect.flip(request === "Die" ? ref.ask("Die", { why: "spent" }) : ref.ask("Add", { n: 1 })))
        )
        const errors = yield* Fiber.joinAll(fibers)
        expect(errors.map((error) => (error as ActorStopped)._tag)).toEqual([
          "ActorCrashed",
          ...asks.slice(1).map(() => "ActorStopped")
        ])
        const failure = yield* Fiber.join(watched)
        assert.instanceOf(failure, ActorFailed)
        expect(failure.message).toBe("actor counter crashed and is out of restarts, last in Die: Error: spent")
        const later = yield* Effect.flip(ref.ask("Add", { n: 1 }))
        expect(later.message).toBe(`actor counter has stopped: ${failure.message}`)
        expect(seen.finalized).toEqual([0])
        expect(ref.stats).toMatchObject({ phase: "stopped", queued: 0, suspended: 0 })
      })
  )

  it.effect("counts only the crashes inside its window, and backs off longer with each of them", () =>
    Effect.gen(function* () {
      const seen = trace()
      const ref = yield* Actor.spawn(Counter, { ...options, make: makeCounter(seen) })
      const crash = Effect.flip(ref.ask("Die", { why: "again" }))
      yield* crash
      yield* TestClock.adjust("999 millis")
      expect(seen.made.length).toBe(1)
      yield* TestClock.adjust("1 millis")
      expect(seen.made.length).toBe(2)
      yield* crash
      yield* TestClock.adjust("1999 millis")
      expect(seen.made.length).toBe(2)
      yield* TestClock.adjust("1 millis")
      expect(seen.made.length).toBe(3)
      // The first two have left the window by now: budget and back-off start anew.
      yield* TestClock.adjust("1 minute")
      yield* crash
      yield* TestClock.adjust("1 second")
      expect(seen.made.length).toBe(4)
      expect(ref.stats.phase).toBe("serving")
    })
  )

  it.effect("is spent by crashes of `make` too", () =>
    Effect.gen(function* () {
      let makes = 0
      const make = Effect.suspend(() => (++makes === 1 ? makeCounter(trace()) : Effect.fail("no such file")))
      const ref = yield* Actor.spawn(Counter, { ...options, make })
      yield* Effect.flip(ref.ask("Die", { why: "once" }))
      const queued = yield* Effect.forkChild(Effect.flip(ref.ask("Add", { n: 1 })))
      const watched = yield* Effect.forkChild(Effect.flip(ref.failed))
      yield* TestClock.adjust("1 second")
      expect(ref.stats).toMatchObject({ phase: "backing off", queued: 1 })
      yield* TestClock.adjust("2 seconds")
      assert.instanceOf(yield* Fiber.join(queued), ActorStopped)
      expect(yield* Fiber.join(watched)).toMatchObject({ crashes: 3, during: "make" })
      expect(makes).toBe(3)
    })
  )

  it.effect("is spent by finalizers that die", () =>
    Effect.gen(function* () {
      const make = Effect.andThen(
        Effect.addFinalizer(() => Effect.die("cannot close")),
        makeCounter(trace())
      )
      const ref = yield* Actor.spawn(Counter, { ...options, restart: atOnce(1), make }).pipe(
        Scope.provide(yield* Scope.make())
      )
      yield* Effect.flip(ref.ask("Throw"))
      yield* Effect.flip(ref.ask("Throw"))
      const failure = yield* Effect.flip(ref.failed)
      expect(failure).toMatchObject({ crashes: 2 })
      expect(failure.cause).toContain("cannot close")
    })
  )
})

describe("spawning", () => {
  it.effect("gives a typed failure of the first `make` to the spawner as it is, at once", () =>
    Effect.gen(function* () {
      let made = 0
      const make = Effect.suspend(() => {
        made++
        return Effect.andThen(Effect.fail({ _tag: "NoSuchModel" } as const), makeCounter(trace()))
      })
      expect(yield* Effect.flip(Actor.spawn(Counter, { ...options, make }))).toEqual({ _tag: "NoSuchModel" })
      expect(made).toBe(1)
    })
  )

  for (const [how, crash] of [
    ["dies", Effect.die(new Error("broken"))],
    ["interrupts itself", Effect.interrupt],
    ["never ends", Effect.never]
  ] as const) {
    it.effect(`outlives a first \`make\` that ${how}: it is made again, within the budget`, () =>
      Effect.gen(function* () {
        let made = 0
        const make = Effect.suspend(() => (++made <= 2 ? crash : makeCounter(trace())))
        const spawning = Actor.spawn(Counter, { ...options, timeLimit: "10 seconds", make })
        const spawned = yield* Effect.forkChild(spawning)
        yield* TestClock.adjust("3 minutes")
        const ref = yield* Fiber.join(spawned)
        expect(yield* ref.ask("Add", { n: 1 })).toBe(1)
        expect(ref.stats).toMatchObject({ phase: "serving", restarted: 2 })
      })
    )
  }

  for (const [how, crash, said] of [
    ["dies", Effect.die(new Error("broken")), "Error: broken"],
    ["never ends", Effect.never, "Error: no answer within 1m"]
  ] as const) {
    it.effect(`fails typed, with the cause, past the budget of a first \`make\` that ${how}`, () =>
      Effect.gen(function* () {
        let made = 0
        const make = Effect.andThen(
          Effect.sync(() => made++),
          crash
        )
        const spawning = Actor.spawn(Counter, { ...options, timeLimit: "10 seconds", make })
        const spawned = yield* Effect.forkChild(Effect.exit(spawning))
        yield* TestClock.adjust("10 minutes")
        const reason = `actor counter crashed 3 times and is out of restarts, last in make: ${said}`
        expect(yield* Fiber.join(spawned)).toEqual(Exit.fail(new ActorStopped({ actor: "counter", reason })))
        expect(made).toBe(3)
      })
    )
  }

  it.effect("can be interrupted while `make` runs, whose finalizers then run", () =>
    Effect.gen(function* () {
      const seen = trace()
      const scope = yield* Scope.make()
      const spawning = yield* Actor.spawn(Counter, {
        ...options,
        make: Effect.andThen(makeCounter(seen), Effect.never)
      }).pipe(Scope.provide(scope), Effect.forkChild)
      yield* settle
      yield* Fiber.interrupt(spawning)
      yield* Scope.close(scope, Exit.interrupt())
      expect(seen).toMatchObject({ made: [0], finalized: [0] })
    })
  )
})

describe("an interrupted caller", () => {
  it.effect("has its message skipped if it has not begun, and finished if it has", () =>
    Effect.gen(function* () {
      const seen = trace()
      const ref = yield* Actor.spawn(Counter, { ...options, capacity: 1, make: makeCounter(seen) })
      const begun = yield* Effect.forkChild(ref.ask("Sleep", { ms: 1000 }))
      yield* settle
      const queued = yield* Effect.forkChild(ref.ask("Add", { n: 1 }))
      yield* settle
      const suspended = yield* Effect.forkChild(ref.ask("Add", { n: 2 }))
      const last = yield* Effect.forkChild(ref.ask("Add", { n: 3 }))
      yield* settle
      expect(ref.stats).toMatchObject({ queued: 1, suspended: 2 })
      yield* Fiber.interruptAll([begun, queued, suspended])
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(last)).toBe(3)
      expect(seen.handled).toEqual(["Sleep 1000", "Add 3"])
      expect(ref.stats).toMatchObject({ handled: 2, skipped: 1 })
    })
  )
})

describe("closing the scope", () => {
  const spawnIn = (scope: Scope.Scope, seen = trace()) =>
    Scope.provide(Actor.spawn(Counter, { ...options, make: makeCounter(seen) }), scope)

  it.effect("after a success lets the running handler finish, and refuses the queue at once", () =>
    Effect.gen(function* () {
      const seen = trace()
      const scope = yield* Scope.make()
      const ref = yield* spawnIn(scope, seen)
      const running = yield* Effect.forkChild(ref.ask("Sleep", { ms: 1000 }))
      yield* settle
      const queued = yield* Effect.forkChild(Effect.flip(ref.ask("Add", { n: 1 })))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      assert.instanceOf(yield* Fiber.join(queued), ActorStopped)
      assert.instanceOf(yield* Effect.flip(ref.ask("Add", { n: 1 })), ActorStopped)
      expect(seen.finalized).toEqual([])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      expect(yield* Fiber.join(running)).toBeUndefined()
      expect(seen).toMatchObject({ handled: ["Sleep 1000"], finalized: [0] })
    })
  )

  it.effect("after a success interrupts a handler that does not finish within its grace", () =>
    Effect.gen(function* () {
      const seen = trace()
      const scope = yield* Scope.make()
      const ref = yield* spawnIn(scope, seen)
      const running = yield* Effect.forkChild(Effect.flip(ref.ask("Forever")))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      expect((yield* Fiber.join(running)).message).toBe("actor counter has stopped: its scope has closed")
      expect(seen.finalized).toEqual([0])
    })
  )

  it.effect("after a failure interrupts the running handler, whose caller is told", () =>
    Effect.gen(function* () {
      const seen = trace()
      const scope = yield* Scope.make()
      const ref = yield* spawnIn(scope, seen)
      const running = yield* Effect.forkChild(Effect.flip(ref.ask("Forever")))
      yield* settle
      yield* Scope.close(scope, Exit.fail("the run failed"))
      assert.instanceOf(yield* Fiber.join(running), ActorStopped)
      expect(seen.finalized).toEqual([0])
    })
  )

  it.effect("does not wait for a back-off, nor restart after a crash of the last handler", () =>
    Effect.gen(function* () {
      const seen = trace()
      const scope = yield* Scope.make()
      const ref = yield* spawnIn(scope, seen)
      yield* Effect.flip(ref.ask("Throw"))
      yield* settle
      expect(ref.stats.phase).toBe("backing off")
      yield* Scope.close(scope, Exit.void)
      expect(ref.stats.phase).toBe("stopped")

      const other = yield* Scope.make()
      const gate = yield* Deferred.make<never>()
      const make = Effect.map(makeCounter(seen), (handlers) => ({ ...handlers, Throw: () => Deferred.await(gate) }))
      const late = yield* Scope.provide(Actor.spawn(Counter, { ...options, make }), other)
      const running = yield* Effect.forkChild(Effect.flip(late.ask("Throw")))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(other, Exit.void))
      yield* settle
      yield* Deferred.die(gate, "too late")
      yield* Fiber.join(closing)
      assert.instanceOf(yield* Fiber.join(running), ActorCrashed)
      expect(seen).toMatchObject({ made: [0, 1], finalized: [0, 1] })
    })
  )

  it.effect("dies with a finalizer that dies, rather than hide it", () =>
    Effect.gen(function* () {
      const make = Effect.andThen(
        Effect.addFinalizer(() => Effect.die("cannot close")),
        makeCounter(trace())
      )
      for (const exit of [Exit.void, Exit.fail("the run failed")]) {
        const scope = yield* Scope.make()
        yield* Scope.provide(Actor.spawn(Counter, { ...options, make }), scope)
        yield* settle
        expect(String(yield* Effect.exit(Scope.close(scope, exit)))).toContain("cannot close")
      }
    })
  )

  it.effect("ends whoever watches `failed`", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const ref = yield* spawnIn(scope)
      const watched = yield* Effect.forkChild(ref.failed)
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(watched)))
    })
  )
})

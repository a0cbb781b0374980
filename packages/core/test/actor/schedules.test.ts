/**
 * Laws of actors over random work, random faults and random schedules: the seed picks which fiber runs next and where it
 * yields. Time is the TestClock's, moved until everything has come to rest.
 */
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Actor, ActorCrashed, ActorStopped, Supervisor } from "@foretoken/core"
import { Counter, SeededScheduler, makeCounter, restarts, trace } from "./fixtures.ts"

const act = fc.oneof(
  { weight: 6, arbitrary: fc.constant("Add" as const) },
  { weight: 2, arbitrary: fc.constant("Refuse" as const) },
  { weight: 2, arbitrary: fc.constant("Sleep" as const) },
  { weight: 1, arbitrary: fc.constantFrom("Die" as const, "Throw" as const, "InterruptItself" as const) }
)
type Act = typeof act extends fc.Arbitrary<infer A> ? A : never

const work = fc.record({
  seed: fc.integer(),
  capacity: fc.integer({ min: 1, max: 4 }),
  budget: fc.nat(4),
  senders: fc.array(fc.array(act, { maxLength: 8 }), { minLength: 1, maxLength: 6 }),
  /** Senders that are interrupted at some moment (ms); the others wait for all their replies. */
  interrupts: fc.array(fc.record({ sender: fc.nat(5), at: fc.nat(40) }), { maxLength: 2 }),
  /** When the scope closes (ms), and how. */
  close: fc.record({ at: fc.oneof(fc.constant(100_000), fc.nat(60)), success: fc.boolean() })
})

/** Runs under the seed's schedule. Time moves 5 ms a step, then in leaps past every back-off and grace. */
const simulate = <A>(seed: number, program: Effect.Effect<A, unknown, Scope.Scope>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.scoped(program))
    for (let i = 0; i < 20; i++) yield* TestClock.adjust(5)
    for (let i = 0; i < 40 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("5 seconds")
    if (fiber.pollUnsafe() === undefined) return yield* Effect.die(new Error("somebody still waits"))
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(TestClock.layer()), (effect) =>
    Effect.runPromise(effect, { scheduler: new SeededScheduler(seed) })
  )

const send = (ref: Actor.Unsupervised<typeof Counter>, act: Act, n: number): Effect.Effect<unknown, unknown> => {
  if (act === "Add") return ref.ask("Add", { n })
  if (act === "Refuse") return ref.ask("Refuse", { why: "refused" })
  if (act === "Sleep") return ref.ask("Sleep", { ms: n })
  return act === "Die" ? ref.ask("Die", { why: "died" }) : ref.ask(act)
}

const kindOf = (act: Act, exit: Exit.Exit<unknown, unknown>) => {
  if (Exit.isSuccess(exit)) return act === "Add" || act === "Sleep" ? "right" : `success of ${act}`
  if (Exit.hasInterrupts(exit)) return "interrupted"
  const error = Exit.findErrorOption(exit)
  const value = error._tag === "Some" ? error.value : undefined
  if (value instanceof ActorStopped) return "stopped"
  if (value instanceof ActorCrashed)
    return ["Die", "Throw", "InterruptItself"].includes(act) ? "crashed" : `crash of ${act}`
  return act === "Refuse" && value === "refused" ? "right" : `${String(exit)} of ${act}`
}

it("every caller gets exactly one reply of the right kind, in order, whatever crashes, is interrupted or closes", async () => {
  const seen = { right: 0, crashed: 0, stopped: 0, interrupted: 0, suspended: 0, restarted: 0, skipped: 0 }
  await fc.assert(
    fc.asyncProperty(work, async ({ seed, capacity, budget, senders, interrupts, close }) => {
      const log = trace()
      const replies: Array<{ act: Act; kind: string }> = []
      const begun: Array<Act> = []
      const program = Effect.gen(function* () {
        const scope = yield* Scope.make()
        const make = makeCounter(log)
        const ref = yield* Scope.provide(
          Actor.spawn(Counter, { name: "counter", capacity, restart: restarts(budget), grace: 20, make }),
          scope
        )
        const observe = Effect.sync(() => {
          expect(ref.stats.queued).toBeLessThanOrEqual(capacity)
          seen.suspended = Math.max(seen.suspended, ref.stats.suspended)
        })
        const fibers = yield* Effect.forEach(senders, (acts, sender) =>
          Effect.forEach(
            acts,
            (act, i) =>
              observe.pipe(
                Effect.andThen(
                  Effect.suspend(() => {
                    begun.push(act)
                    return send(ref, act, sender * 100 + i + 1)
                  }).pipe(
                    Effect.onExit((exit) => Effect.sync(() => void replies.push({ act, kind: kindOf(act, exit) })))
                  )
                ),
                Effect.exit
              ),
            { discard: true }
          ).pipe(Effect.forkChild)
        )
        yield* Effect.forEach(interrupts, ({ sender, at }) =>
          Effect.forkChild(Effect.andThen(Effect.sleep(at), Fiber.interruptAll(fibers.slice(sender, sender + 1))))
        )
        const closing = yield* Effect.sleep(close.at).pipe(
          Effect.andThen(Scope.close(scope, close.success ? Exit.void : Exit.fail("closed"))),
          Effect.forkChild
        )
        yield* Fiber.awaitAll(fibers)
        yield* Fiber.join(closing)
        return ref.stats
      })
      const stats = await simulate(seed, program)

      expect(replies.length - begun.length).toBeGreaterThanOrEqual(0)
      expect(replies.length - begun.length).toBeLessThanOrEqual(interrupts.length)
      for (const { kind } of replies) expect(["right", "crashed", "stopped", "interrupted"]).toContain(kind)
      const count = (kind: string) => replies.filter((reply) => reply.kind === kind).length
      expect(stats).toMatchObject({ phase: "stopped", queued: 0, suspended: 0 })
      expect(stats.handled + stats.failed).toBeGreaterThanOrEqual(count("right"))
      expect(stats.crashed).toBeGreaterThanOrEqual(count("crashed"))
      if (interrupts.length === 0) expect(stats).toMatchObject({ skipped: 0, crashed: count("crashed") })

      // What one sender sent was handled in the order it was sent, nothing twice.
      const bySender = Map.groupBy(log.handled, (line) => Math.floor(Number(line.split(" ")[1]) / 100))
      for (const lines of bySender.values()) {
        const numbers = lines.map((line) => Number(line.split(" ")[1]))
        expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
      }
      // Each incarnation's finalizers ran exactly once, before the next was made.
      expect(log.finalized).toEqual(log.made)
      expect(stats.restarted).toBe(Math.max(0, log.made.length - 1))
      expect(stats.restarted).toBeLessThanOrEqual(budget)

      for (const kind of ["right", "crashed", "stopped", "interrupted"] as const) seen[kind] += count(kind)
      seen.restarted += stats.restarted
      seen.skipped += stats.skipped
    }),
    { numRuns: 300 }
  )
  // A generator that never reaches a state proves nothing about it.
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0)
}, 60_000)

const family = fc.record({
  seed: fc.integer(),
  strategy: fc.constantFrom("one-for-one" as const, "one-for-all" as const, "rest-for-one" as const),
  budget: fc.nat(3),
  children: fc.array(fc.nat(1), { minLength: 1, maxLength: 4 }),
  asks: fc.array(fc.record({ child: fc.nat(3), act, at: fc.nat(60) }), { maxLength: 25 }),
  close: fc.record({ at: fc.oneof(fc.constant(100_000), fc.nat(80)), success: fc.boolean() })
})

it("no caller of a supervised actor is left waiting, and every incarnation of every child is finalized once", async () => {
  const seen = { restarted: 0, gaveUp: 0, closed: 0, served: 0 }
  await fc.assert(
    fc.asyncProperty(family, async ({ seed, strategy, budget, children, asks, close }) => {
      const logs = children.map(trace)
      const program = Effect.gen(function* () {
        const scope = yield* Scope.make()
        const supervisor = yield* Scope.provide(
          Supervisor.make({ name: "family", strategy, restart: restarts(budget) }),
          scope
        )
        const refs = yield* Effect.forEach(children, (own, i) =>
          supervisor.spawn(Counter, {
            name: `child ${i}`,
            capacity: 2,
            restart: { ...restarts(own), backoff: { first: 3, factor: 1, max: 3 } },
            grace: 20,
            make: makeCounter(logs[i])
          })
        )
        const linked = yield* Effect.forkChild(supervisor.link(Effect.never))
        const callers = yield* Effect.forEach(asks, ({ child, act, at }, i) => {
          const ref = Object.assign(refs[child % refs.length], { failed: Effect.never })
          return Effect.forkChild(Effect.exit(Effect.andThen(Effect.sleep(at), send(ref, act, i + 1))))
        })
        const closing = yield* Effect.sleep(close.at).pipe(
          Effect.andThen(Scope.close(scope, close.success ? Exit.void : Exit.fail("closed"))),
          Effect.forkChild
        )
        const exits = yield* Fiber.joinAll(callers)
        const end = yield* Fiber.await(linked)
        const afterwards = yield* Effect.forEach(refs, (ref) => Effect.flip(ref.ask("Add", { n: 1 })))
        yield* Fiber.join(closing)
        return { exits, end, afterwards, stats: supervisor.stats }
      })
      const { exits, end, afterwards, stats } = await simulate(seed, program)

      exits.forEach((exit, i) => expect(["right", "crashed", "stopped"]).toContain(kindOf(asks[i].act, exit)))
      for (const error of afterwards) expect(error).toBeInstanceOf(ActorStopped)
      for (const log of logs) expect(log.finalized).toEqual(log.made)
      for (const actor of stats.actors) expect(actor).toMatchObject({ phase: "stopped", queued: 0, suspended: 0 })
      expect(stats.restarted).toBeLessThanOrEqual(budget)
      const failure = Exit.findErrorOption(end)
      if (failure._tag === "Some") expect(failure.value).toBeInstanceOf(Supervisor.SupervisorFailure)

      seen.restarted += stats.restarted
      seen[failure._tag === "Some" ? "gaveUp" : "closed"]++
      seen.served += exits.filter(Exit.isSuccess).length
    }),
    { numRuns: 300 }
  )
  for (const [what, times] of Object.entries(seen)) expect(times, what).toBeGreaterThan(0)
}, 60_000)

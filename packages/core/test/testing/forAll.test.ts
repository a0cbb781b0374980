import { describe, expect } from "vitest"
import { it } from "@effect/vitest"
import { Cause, Clock, Context, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { forAll } from "../../src/testing/index.ts"

const messageOf = (exit: Exit.Exit<void, never>) => (Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "held")

describe("forAll", () => {
  it.effect("runs the property on every case", () =>
    Effect.gen(function* () {
      let cases = 0
      yield* forAll(fc.nat(), () => Effect.sync(() => void cases++), { numRuns: 37 })
      expect(cases).toBe(37)
    })
  )

  it.effect("dies with seed, path and the shrunk counterexample when the property is false", () =>
    Effect.gen(function* () {
      const message = messageOf(yield* Effect.exit(forAll(fc.nat(), (n) => Effect.succeed(n < 10), { seed: 1 })))
      expect(message).toMatch(/seed: 1, path: "/)
      expect(message).toMatch(/Counterexample: \[10\]/)
    })
  )

  it.effect("takes a failure and a defect of the property as broken", () =>
    Effect.gen(function* () {
      const failing = yield* Effect.exit(forAll(fc.nat(), (n) => (n > 5 ? Effect.fail("no") : Effect.void)))
      expect(messageOf(failing)).toMatch(/Counterexample: \[6\]/)
      const dying = yield* Effect.exit(forAll(fc.nat(), (n) => Effect.sync(() => expect(n).toBeLessThan(5))))
      expect(messageOf(dying)).toMatch(/Counterexample: \[5\]/)
    })
  )

  it.effect("gives the property the services and the clock of the test", () =>
    Effect.gen(function* () {
      class Limit extends Context.Service<Limit, { readonly value: number }>()("test/Limit") {}
      yield* TestClock.adjust("1 hour")
      yield* forAll(fc.nat(100), (n) =>
        Effect.gen(function* () {
          expect(yield* Clock.currentTimeMillis).toBe(3_600_000)
          return n <= (yield* Limit).value
        })
      ).pipe(Effect.provideService(Limit, { value: 100 }))
    })
  )
})

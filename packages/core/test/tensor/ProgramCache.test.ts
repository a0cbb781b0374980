import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { makeBoundedProgramCache, makeProgramCache } from "../../src/tensor/ProgramCache.ts"

/** A program that says when it is made and let go. */
const program = (name: string, log: Array<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => log.push(`compile ${name}`)).pipe(Effect.andThen(Effect.yieldNow), Effect.as({ name })),
    () => Effect.sync(() => log.push(`release ${name}`))
  )

describe("a program cache", () => {
  it.effect(
    "compiles each program once, even for those who ask at the same time, and keeps it until its scope closes",
    () =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const scope = yield* Scope.make()
        const cache = yield* Scope.provide(makeProgramCache, scope)
        const ask = (name: string) => Effect.scoped(cache.get(name, program(name, log)))
        const [a, again, b] = yield* Effect.all([ask("a"), ask("a"), ask("b")], { concurrency: "unbounded" })
        expect(again).toBe(a)
        expect(b).not.toBe(a)
        expect(yield* ask("a")).toBe(a)
        expect(log).toEqual(["compile a", "compile b"])
        yield* Scope.close(scope, Exit.void)
        expect(log.toSorted()).toEqual(["compile a", "compile b", "release a", "release b"])
      })
  )

  it.effect("of bounded size lets go of the program that was asked for longest ago, before it makes another", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const cache = yield* makeBoundedProgramCache(2)
      for (const name of ["a", "b", "a", "c", "b"]) yield* cache.get(name, program(name, log))
      expect(log).toEqual(["compile a", "compile b", "release b", "compile c", "release a", "compile b"])
    }).pipe(Effect.scoped)
  )

  it.effect("does not keep a failure", () =>
    Effect.gen(function* () {
      const cache = yield* makeProgramCache
      expect(yield* Effect.flip(cache.get("a", Effect.fail("no memory")))).toBe("no memory")
      expect(yield* cache.get("a", Effect.succeed(1))).toBe(1)
    }).pipe(Effect.scoped)
  )
})

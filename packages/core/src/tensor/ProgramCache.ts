import { Effect, Scope, Semaphore } from "effect"

/**
 * Compiled programs by name, each compiled at most once and kept until the cache's scope closes. Names say everything
 * that the program depends on beside its owner: what it computes and the shapes it was traced for.
 */
export interface ProgramCache {
  readonly get: <A, E, R>(name: string, compile: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Scope.Scope>>
}

export const makeProgramCache: Effect.Effect<ProgramCache, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const programs = new Map<string, unknown>()
  // Whoever asks for a program that is being compiled waits for it instead of compiling it again.
  const oneAtATime = Semaphore.withPermits(yield* Semaphore.make(1), 1)
  return {
    get: <A, E, R>(name: string, compile: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        // What stands under a name was put there by the same compile, so it is an A.
        if (programs.has(name)) return Effect.succeed(programs.get(name) as A)
        return Effect.tap(Scope.provide(compile, scope), (program) => Effect.sync(() => programs.set(name, program)))
      }).pipe(oneAtATime)
  }
})

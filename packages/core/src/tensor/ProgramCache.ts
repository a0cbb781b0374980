import { Effect, Exit, Scope, Semaphore } from "effect"

/**
 * Compiled programs by name, each compiled at most once and kept until the cache's scope closes. Names say everything
 * that the program depends on beside its owner: what it computes and the shapes it was traced for.
 */
export interface ProgramCache {
  readonly get: <A, E, R>(name: string, compile: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Scope.Scope>>
}

/**
 * A cache that keeps the `most` programs that were asked for last, and closes what another one replaces: a program keeps
 * the memory that its largest run has taken. For an owner that runs one program at a time, as soon as it has got it.
 */
export const makeBoundedProgramCache = (most: number): Effect.Effect<ProgramCache, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const programs = new Map<string, { readonly program: unknown; readonly own: Scope.Closeable }>()
    // Whoever asks for a program that is being compiled waits for it instead of compiling it again.
    const oneAtATime = Semaphore.withPermits(yield* Semaphore.make(1), 1)

    const makeRoom = Effect.suspend(() => {
      const [oldest] = programs
      if (programs.size < most || oldest === undefined) return Effect.void
      programs.delete(oldest[0])
      return Scope.close(oldest[1].own, Exit.void)
    })
    const compiled = Effect.fnUntraced(function* <A, E, R>(name: string, compile: Effect.Effect<A, E, R>) {
      yield* makeRoom
      const own = yield* Scope.fork(scope)
      const program = yield* Effect.onError(Scope.provide(compile, own), () => Scope.close(own, Exit.void))
      programs.set(name, { program, own })
      return program
    })
    return {
      get: <A, E, R>(name: string, compile: Effect.Effect<A, E, R>) =>
        Effect.suspend(() => {
          const known = programs.get(name)
          if (known === undefined) return compiled(name, compile)
          // The order of a Map is that of use: the one used last stands at the end.
          programs.delete(name)
          programs.set(name, known)
          // What stands under a name was put there by the same compile, so it is an A.
          return Effect.succeed(known.program as A)
        }).pipe(oneAtATime)
    }
  })

/**
 * Programs that are kept, by what they are for. Training ones keep their memory, so they are few, and fewer where memory is
 * short (`fitMemory`); each of the others is a few MB and a tenth of a second to compile.
 */
export const programsKept = { training: 4, sampling: 32, scoring: 16 } as const

export const makeProgramCache: Effect.Effect<ProgramCache, never, Scope.Scope> = makeBoundedProgramCache(Infinity)

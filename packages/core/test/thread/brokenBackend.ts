/** The reference on a thread, except for programs whose name says how they break, and the one that ends the thread once. */
import { rmSync } from "node:fs"
import * as Effect from "effect/Effect"
import { Backend } from "../../src/tensor/Backend.ts"
import { Reference } from "../../src/tensor/Reference.ts"

export interface Options {
  readonly refuses?: boolean
  /** A program whose name begins so ends its thread if the file is there, which is then gone. */
  readonly endsOnce?: { readonly program: string; readonly file: string }
}

export const makeBackend = (options: Options) =>
  Effect.gen(function* () {
    if (options.refuses) throw new Error("no such device")
    const reference = yield* Backend
    return {
      ...reference,
      compile: (graph: Parameters<typeof reference.compile>[0], settings: Parameters<typeof reference.compile>[1]) =>
        Effect.map(reference.compile(graph, settings), ({ run }) => ({
          run: (inputs: Parameters<typeof run>[0]) =>
            Effect.andThen(endingOnce(options, settings.name), Effect.andThen(breaking(settings.name), run(inputs)))
        }))
    }
  }).pipe(Effect.provide(Reference.layer))

const endingOnce = ({ endsOnce }: Options, program: string): Effect.Effect<void> =>
  Effect.sync(() => {
    if (endsOnce === undefined || !program.startsWith(endsOnce.program)) return
    try {
      rmSync(endsOnce.file)
    } catch {
      return // it has ended once
    }
    process.exit(3)
  })

const breaking = (how: string): Effect.Effect<void> => {
  switch (how) {
    case "exit":
      return Effect.sync(() => process.exit(3))
    case "throw":
      return Effect.andThen(
        Effect.sync(() => setImmediate(() => thrown("a kernel has thrown"))),
        Effect.never
      )
    case "memory":
      return Effect.sync(() => {
        const kept: Array<unknown> = []
        for (;;) kept.push(Array.from({ length: 1000 }, (_, i) => ({ i })))
      })
    case "forever":
      return Effect.sync(() => {
        for (;;) Math.random()
      })
    case "slow":
      return Effect.sync(() => {
        const began = performance.now()
        while (performance.now() - began < 400) Math.random()
      })
    default:
      return Effect.void
  }
}

const thrown = (message: string): never => {
  throw new Error(message)
}

/** The reference on a thread, except for programs whose name says how they break, and the one that breaks once. */
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import * as Effect from "effect/Effect"
import { Backend } from "../../src/tensor/Backend.ts"
import { Reference } from "../../src/tensor/Reference.ts"

export interface Options {
  readonly refuses?: boolean
  /** Programs whose names begin so run as often as the file says, and break then; the file is gone after that. */
  readonly breaksOnce?: { readonly program: string; readonly how: string; readonly file: string }
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
            Effect.andThen(breakingOnce(options, settings.name), Effect.andThen(breaking(settings.name), run(inputs)))
        }))
    }
  }).pipe(Effect.provide(Reference.layer))

const breakingOnce = ({ breaksOnce }: Options, program: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (breaksOnce === undefined || !program.startsWith(breaksOnce.program)) return Effect.void
    const left = countDown(breaksOnce.file)
    return left < 0 ? breaking(breaksOnce.how) : Effect.void
  })

/** The number in the file, one less than before; the file is gone when it falls below 0, and after that nothing is counted. */
const countDown = (file: string): number => {
  try {
    const left = Number(readFileSync(file, "utf8")) - 1
    if (left < 0) rmSync(file)
    else writeFileSync(file, String(left))
    return left
  } catch {
    return 0
  }
}

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

import { Cause, Effect, Exit, Schema } from "effect"
import type { Scope } from "effect"
import * as fc from "fast-check"
import type { Backend } from "../../tensor/Backend.ts"

/** A law that a backend broke: what was run, what came out, what should have. */
export class LawViolation extends Schema.TaggedError<LawViolation>()("LawViolation", {
  law: Schema.String,
  message: Schema.String
}) {}

/** A named property of a backend. */
export interface BackendLaw {
  readonly name: string
  readonly check: Effect.Effect<void, LawViolation, Backend>
}

/** What a law finds wrong with one case; nothing wrong is `undefined`. */
export type Finding<E = unknown> = Effect.Effect<string | undefined, E, Backend | Scope.Scope>

export interface Runs {
  readonly runs: number
  readonly seed: number
}

/** Past this, a failing case is reported as far as it has been shrunk. */
const shrinkMillis = 20_000

/** The law that nothing is wrong with any generated case. Each case has a scope of its own. */
export const generatedLaw = <A>(
  name: string,
  arbitrary: fc.Arbitrary<A>,
  examine: (value: A) => Finding,
  { runs, seed }: Runs
): BackendLaw => ({
  name,
  check: Effect.gen(function* () {
    const services = yield* Effect.context<Backend>()
    const property = fc.asyncProperty(arbitrary, async (value) => {
      const exit = await Effect.runPromiseExitWith(services)(Effect.scoped(examine(value)))
      const problem = describe(exit)
      if (problem !== undefined) throw new Error(problem)
    })
    const parameters = { numRuns: runs, seed, interruptAfterTimeLimit: shrinkMillis }
    const details = yield* Effect.promise(async () => fc.check(property, parameters))
    if (!details.failed) return
    const problem = details.errorInstance instanceof Error ? details.errorInstance.message : "no case was run in time"
    const replay = `(seed ${details.seed}, path ${details.counterexamplePath}, ${details.numShrinks} shrinks)`
    return yield* new LawViolation({ law: name, message: `${name}: ${problem}\n${replay}` })
  })
})

/** The law that nothing is wrong with one written-out case. */
export const writtenLaw = (name: string, examine: Finding): BackendLaw => ({
  name,
  check: Effect.gen(function* () {
    const problem = describe(yield* Effect.exit(Effect.scoped(examine)))
    if (problem !== undefined) return yield* new LawViolation({ law: name, message: `${name}: ${problem}` })
  })
})

const describe = (exit: Exit.Exit<string | undefined, unknown>): string | undefined =>
  Exit.isSuccess(exit) ? exit.value : Cause.pretty(exit.cause)

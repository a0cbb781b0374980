import { Effect } from "effect"
import * as fc from "fast-check"
import { forAll } from "./forAll.ts"

/** A named property. `check` rejects with fast-check's report (seed, path, shrunk counterexample) when it is broken. */
export interface Law {
  readonly name: string
  readonly check: () => Promise<void>
}

export interface LawSettings {
  /** Generated cases per law, default 200. */
  readonly runs?: number
  /** Reproduces a reported failure; random by default. */
  readonly seed?: number
}

/** The law that `property` holds for all values of `arbitrary`. */
export const law = <A, E>(
  name: string,
  arbitrary: fc.Arbitrary<A>,
  property: (value: A) => Effect.Effect<boolean | void, E>,
  { runs = 200, seed }: LawSettings = {}
): Law => ({
  name,
  check: () =>
    Effect.runPromise(forAll(arbitrary, property, seed === undefined ? { numRuns: runs } : { numRuns: runs, seed }))
})

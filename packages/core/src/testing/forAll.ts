import { Effect } from "effect"
import * as fc from "fast-check"

/**
 * Checks an effectful property on generated values: the bridge between fast-check and Effect. The property runs with
 * the services of the test around it (TestClock included) and holds unless it fails, dies or succeeds with `false`.
 *
 * A counterexample dies with fast-check's own report: seed, path, shrunk value.
 *
 * @example
 * it.effect("reversal is its own inverse", () =>
 *   forAll(fc.array(fc.nat()), (xs) => Effect.succeed(xs.toReversed().toReversed().join() === xs.join())))
 */
export const forAll = <A, E, R>(
  arbitrary: fc.Arbitrary<A>,
  property: (value: A) => Effect.Effect<boolean | void, E, R>,
  parameters?: fc.Parameters<[A]>
): Effect.Effect<void, never, R> =>
  Effect.context<R>().pipe(
    Effect.flatMap((services) => {
      const run = Effect.runPromiseWith(services)
      // fast-check takes any result but true and undefined as broken, and assertion libraries return all sorts of things.
      const holds = async (value: A) => (await run(property(value))) !== false
      return Effect.promise(() => fc.assert(fc.asyncProperty(arbitrary, holds), parameters))
    })
  )

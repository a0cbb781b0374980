import { describe, expect } from "vitest"
import { it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { scored, unscorable } from "../../src/reward/Verdict.ts"
import * as DynamicSampling from "../../src/rl/dynamicSampling.ts"
import type { Group } from "../../src/rl/Group.ts"
import { arbitraries, forAll } from "../../src/testing/index.ts"

const [parsed] = fc.sample(arbitraries.parsedGroup(), { numRuns: 1, seed: 1 })

/** A group with these rewards; null: unscorable. */
const groupOf = (...rewards: ReadonlyArray<number | null>): Group => ({
  problem: parsed.problem,
  rollouts: rewards.map((value) => ({
    ...parsed.rollouts[0],
    verdict: value === null ? unscorable("test") : scored(value, {})
  }))
})

const signal = groupOf(1, 0)
const silent = groupOf(1, 1)
const settings: DynamicSampling.DynamicSampling = { fromStep: 10, maxAttempts: 3, minGroups: 2 }
const rounds =
  (...groups: ReadonlyArray<ReadonlyArray<Group>>) =>
  (attempt: number) =>
    Effect.sync(() => groups[attempt])

describe("dynamic sampling", () => {
  it.effect("sees a signal only where two scored rewards differ", () =>
    Effect.sync(() => {
      expect(DynamicSampling.hasSignal(signal)).toBe(true)
      for (const group of [silent, groupOf(0, null), groupOf(null, null), groupOf(), groupOf(1)]) {
        expect(DynamicSampling.hasSignal(group)).toBe(false)
      }
    })
  )

  it.effect("takes the first round as it is before its step", () =>
    Effect.gen(function* () {
      const selection = yield* DynamicSampling.collect(settings, 9, 3, rounds([silent, signal]))
      expect(selection).toEqual({ groups: [silent, signal], attempts: 1, groupsSampled: 2 })
    })
  )

  it.effect("fills the batch with informative groups, in order, and counts all that were sampled", () =>
    Effect.gen(function* () {
      const [a, b, c] = [groupOf(1, 0), groupOf(0, 1), groupOf(0, 0, 1)]
      const selection = yield* DynamicSampling.collect(settings, 10, 2, rounds([silent, a], [silent, silent], [b, c]))
      expect(selection).toEqual({ groups: [a, b], attempts: 3, groupsSampled: 6 })
    })
  )

  it.effect("goes on with fewer groups once the bound is reached, if they are worth an update", () =>
    Effect.gen(function* () {
      const selection = yield* DynamicSampling.collect(settings, 10, 4, rounds([signal], [silent], [signal]))
      expect(selection).toEqual({ groups: [signal, signal], attempts: 3, groupsSampled: 3 })
    })
  )

  it.effect("ends with NoSignal, with all counts, when the bound is reached without enough", () =>
    Effect.gen(function* () {
      const ended = yield* Effect.flip(DynamicSampling.collect(settings, 12, 4, rounds([signal], [silent], [silent])))
      expect(ended).toMatchObject({ _tag: "NoSignal", step: 13, attempts: 3, groupsSampled: 3, groupsKept: 1 })
      expect(ended.message).toBe("step 13: 1 of 3 groups had unequal rewards after 3 rounds of sampling, 2 are needed")
    })
  )

  it.effect("never samples more rounds than it may, nor keeps a silent group", () =>
    forAll(
      fc.record({
        script: fc.array(fc.array(fc.constantFrom(signal, silent), { maxLength: 4 }), { minLength: 5, maxLength: 5 }),
        maxAttempts: fc.integer({ min: 1, max: 5 }),
        wanted: fc.integer({ min: 1, max: 6 })
      }),
      ({ script, maxAttempts, wanted }) =>
        Effect.gen(function* () {
          let asked = 0
          const outcome = yield* DynamicSampling.collect({ fromStep: 0, maxAttempts, minGroups: 1 }, 0, wanted, (i) =>
            Effect.sync(() => {
              asked++
              return script[i]
            })
          ).pipe(Effect.catchTag("NoSignal", () => Effect.succeed({ groups: [] as ReadonlyArray<Group> })))
          const informative = script.slice(0, maxAttempts).flat().filter(DynamicSampling.hasSignal)
          expect(asked).toBeLessThanOrEqual(maxAttempts)
          expect(outcome.groups.length).toBe(Math.min(wanted, informative.length))
          expect(outcome.groups.every(DynamicSampling.hasSignal)).toBe(true)
        })
    )
  )
})

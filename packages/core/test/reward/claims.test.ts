import { describe, expect, test } from "vitest"
import { it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import * as Reward from "../../src/reward/index.ts"
import { arbitraries, forAll } from "../../src/testing/index.ts"

/** Leaves with claims that are true, by their looks. */
const leaves: ReadonlyArray<Reward.Reward> = [
  Reward.prefixMatch,
  Reward.firstToken,
  Reward.format,
  Reward.segmentMatch(),
  Reward.uniformPenalty({ penalty: 0.25 }),
  Reward.repetition({ n: 1, limit: 8 }),
  Reward.overlong({ limit: 24, buffer: 16 }),
  Reward.pure("long", ({ rollout }) => rollout.bytes.length, { bounds: { low: 0, high: Infinity } }),
  Reward.pure("silent", () => 0.5, { bounds: { low: 0.5, high: 0.5 } })
]

const weight = fc.constantFrom(-1, -0.3, 0, 0.1, 1, 2)

/** Combinations of leaves, up to three deep; terms of one name are told apart. */
const { reward } = fc.letrec<{ reward: Reward.Reward }>((tie) => {
  const two = fc.tuple(tie("reward"), tie("reward")).map(([a, b]): readonly [Reward.Reward, Reward.Reward] => [
    { ...a, name: `(${a.name}) 1` },
    { ...b, name: `(${b.name}) 2` }
  ])
  return {
    reward: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(...leaves),
      fc.tuple(two, weight, weight).map(([[a, b], v, w]) => Reward.weighted([v, a], [w, b])),
      two.map(([a, b]) => Reward.sum(a, b)),
      two.map(([a, b]) => Reward.gate(a, b)),
      fc.tuple(two, weight).map(([[a, b], otherwise]) => Reward.perGroup(a, b, otherwise)),
      fc.tuple(tie("reward"), weight, weight).map(([a, v, w]) => Reward.clamp(a, Math.min(v, w), Math.max(v, w)))
    )
  }
})

describe("what is claimed of a combination", () => {
  it.effect("is true of it", () => {
    const seen = { sound: 0, complete: 0, nothing: 0, won: 0 }
    return forAll(
      fc.tuple(reward, arbitraries.parsedGroup()),
      ([reward, group]) =>
        Effect.gen(function* () {
          const { bounds, prefix, nothingFor } = reward.claims
          const { rollouts } = yield* Reward.judge(reward, group)
          for (const { verdict, prediction } of rollouts) {
            if (verdict._tag !== "Scored") throw new Error(`all of these are scorable: ${verdict.reason}`)
            const { value } = verdict
            expect(value).toBeGreaterThanOrEqual(bounds.low)
            expect(value).toBeLessThanOrEqual(bounds.high)
            const right =
              prediction.outcome === "answered" && Reward.matchesPrefix(prediction.bytes, group.problem.continuation)
            if (prefix.includes("sound") && value > 0) expect(right).toBe(true)
            if (prefix.includes("complete") && right) expect(value).toBeGreaterThan(0)
            if (nothingFor.includes(prediction.outcome)) expect(value).toBeLessThanOrEqual(0)
            if (prefix.includes("sound")) seen.sound++
            if (prefix.includes("complete")) seen.complete++
            if (nothingFor.includes(prediction.outcome)) seen.nothing++
            if (right) seen.won++
          }
        }),
      { numRuns: 1500 }
    ).pipe(
      Effect.map(() => {
        for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100)
      })
    )
  })

  test("is as much as follows", () => {
    const { prefixMatch, format, sum, weighted, gate, perGroup, clamp, overlong } = Reward
    const long = overlong({ limit: 10, buffer: 2 })
    expect(weighted([2, prefixMatch]).claims).toEqual({ ...Reward.prefixVerifier, bounds: { low: 0, high: 2 } })
    expect(sum(prefixMatch, long).claims).toMatchObject({ bounds: { low: -1, high: 1 }, prefix: ["sound"] })
    expect(sum(prefixMatch, long).claims).toMatchObject({ nothingFor: Reward.failures, noGain: Reward.noGains })
    expect(sum(prefixMatch, format).claims.prefix).toEqual(["complete"])
    expect(weighted([1, prefixMatch], [-0.1, format]).claims).toMatchObject({ prefix: ["sound"], noGain: [] })
    expect(gate(format, prefixMatch).claims).toEqual(Reward.prefixVerifier)
    expect(perGroup(prefixMatch, format).claims.prefix).toEqual(["complete"])
    expect(clamp(prefixMatch, 0.5, 1).claims).toMatchObject({ bounds: { low: 0.5, high: 1 }, nothingFor: [] })
    expect(Reward.builtin.conditionalDense.claims.needsModel).toBe(true)
  })

  test("does not turn an endless bound into no number", () => {
    const any = Reward.pure("any", () => 3)
    expect(Reward.weighted([0, any], [1, Reward.prefixMatch]).claims.bounds).toEqual({ low: 0, high: 1 })
    expect(Reward.sum(any, Reward.prefixMatch).claims.bounds).toEqual({ low: -Infinity, high: Infinity })
    expect(Reward.clamp(any, -1, 1).claims.bounds).toEqual({ low: -1, high: 1 })
  })

  test("is refused where no number could satisfy it", () => {
    const bounds = { low: 1, high: 0 }
    expect(() => Reward.pure("x", () => 1, { bounds })).toThrow(/the bounds \[1, 0\] hold no number/)
    expect(() => Reward.clamp(Reward.prefixMatch, NaN, 1)).toThrow(/the range \[NaN, 1\] holds no number/)
    expect(() => Reward.weighted([NaN, Reward.prefixMatch])).toThrow(/NaN is no weight/)
    expect(() => Reward.weighted()).toThrow(/needs a term/)
  })
})

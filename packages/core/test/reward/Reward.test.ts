import { describe, expect, expectTypeOf, test } from "vitest"
import { it } from "@effect/vitest"
import { Context, Effect, Schema } from "effect"
import * as fc from "fast-check"
import * as Reward from "../../src/reward/index.ts"
import type { ParsedGroup } from "../../src/rl/Group.ts"
import { arbitraries, forAll, laws } from "../../src/testing/index.ts"

const group: ParsedGroup = fc
  .sample(arbitraries.parsedGroup(), { numRuns: 30, seed: 7 })
  .find(({ rollouts }) => rollouts.length > 2)!

const constant = (name: string, value: number) => Reward.pure(name, () => value)
const unknown = Reward.pure("unknown", () => Reward.unscorable("no model at hand"))
const first = <E>(reward: Reward.Reward<E>) =>
  Effect.map(Reward.judge(reward, group), ({ rollouts }) => rollouts[0].verdict)

describe("a combined reward", () => {
  it.effect("weighs its terms and shows what each said", () =>
    Effect.gen(function* () {
      const mixed = Reward.weighted([1, constant("a", 2)], [0.5, constant("b", 3)])
      expect(mixed.name).toBe("a + 0.5 b")
      expect(yield* first(mixed)).toEqual(Reward.scored(3.5, { a: 2, b: 3 }))
      expect(yield* first(Reward.sum(constant("a", 2), constant("b", 3)))).toEqual(Reward.scored(5, { a: 2, b: 3 }))
    })
  )

  it.effect("is gated by a condition above zero", () =>
    Effect.gen(function* () {
      const inner = constant("inner", 5)
      const values = [1, 0, -1].map((value) => first(Reward.gate(constant("open", value), inner)))
      expect((yield* Effect.all(values)).map((verdict) => verdict._tag === "Scored" && verdict.value)).toEqual([
        5, 0, 0
      ])
    })
  )

  it.effect("is clamped to a range, its parts are not", () =>
    Effect.gen(function* () {
      expect(yield* first(Reward.clamp(constant("big", 9), -1, 1))).toEqual(Reward.scored(1, { big: 9 }))
      expect(yield* first(Reward.clamp(constant("big", -9), -1, 1))).toEqual(Reward.scored(-1, { big: -9 }))
    })
  )

  it.effect("is unscorable, never zero, where a term is", () =>
    Effect.gen(function* () {
      for (const reward of [
        Reward.sum(constant("a", 1), unknown),
        Reward.weighted([0, unknown], [1, constant("a", 1)]),
        Reward.gate(unknown, constant("a", 1)),
        Reward.clamp(unknown, 0, 1)
      ]) {
        expect(yield* first(reward)).toEqual(Reward.unscorable("no model at hand"))
      }
    })
  )

  test("refuses two different terms of one name, whose parts would hide each other", () => {
    expect(() => Reward.sum(constant("a", 1), constant("a", 2))).toThrow(/two terms .* called "a"/)
  })

  it.effect("is linear in its weights", () =>
    forAll(fc.tuple(arbitraries.parsedGroup(), arbitraries.reward, arbitraries.reward), ([group, a, b]) =>
      Effect.gen(function* () {
        const length = Reward.pure("length", ({ rollout }) => rollout.bytes.length)
        const mixed = yield* Reward.judge(Reward.weighted([a, Reward.prefixMatch], [b, length]), group)
        const match = yield* Reward.judge(Reward.prefixMatch, group)
        mixed.rollouts.forEach(({ verdict, rollout }, i) => {
          const term = match.rollouts[i].verdict
          if (verdict._tag !== "Scored" || term._tag !== "Scored") throw new Error("all of these are scorable")
          expect(verdict.value).toBeCloseTo(a * term.value + b * rollout.bytes.length, 10)
        })
      })
    )
  )

  test("fails with and needs the union of its terms", () => {
    class Model extends Context.Service<Model, { readonly ready: boolean }>()("test/Model") {}
    class Down extends Schema.TaggedError<Down>()("Down", {}) {}
    class Lost extends Schema.TaggedError<Lost>()("Lost", {}) {}
    const failing = Reward.make("failing", () => Effect.fail(new Down({})))
    const asking: Reward.Reward<Lost, Model> = Reward.make("asking", () => Effect.fail(new Lost({})))
    expectTypeOf(Reward.sum(failing, asking, Reward.prefixMatch)).toEqualTypeOf<Reward.Reward<Down | Lost, Model>>()
    expectTypeOf(Reward.weighted([1, failing], [2, asking])).toEqualTypeOf<Reward.Reward<Down | Lost, Model>>()
    expectTypeOf(Reward.gate(Reward.prefixMatch, asking)).toEqualTypeOf<Reward.Reward<Lost, Model>>()
    expectTypeOf(Reward.sum(Reward.prefixMatch)).toEqualTypeOf<Reward.Reward>()
  })
})

describe("judging a group", () => {
  it.effect("makes a value that is not finite unscorable, with the reason", () =>
    Effect.gen(function* () {
      expect(yield* first(constant("broken", NaN))).toEqual(
        Reward.unscorable("broken gave NaN, which is no finite number", "not-a-number")
      )
      expect(yield* first(Reward.sum(constant("fine", 1), constant("broken", Infinity)))).toEqual(
        Reward.unscorable("broken gave Infinity, which is no finite number", "not-a-number")
      )
    })
  )

  it.effect("makes the group unscorable when verdicts are missing", () =>
    Effect.gen(function* () {
      const short = Reward.make("short", () => Effect.succeed([Reward.scored(1, {})]))
      const judged = yield* Reward.judge(short, group)
      const reason = `short gave 1 verdicts for ${group.rollouts.length} rollouts`
      expect(judged.rollouts.map(({ verdict }) => verdict)).toEqual(
        group.rollouts.map(() => Reward.unscorable(reason, "miscounted"))
      )
    })
  )
})

describe("laws.reward", () => {
  const broken = (law: string, reward: Reward.Reward) => {
    const found = laws.reward(reward).find(({ name }) => name.endsWith(law))
    return expect(found!.check()).rejects.toThrow(/seed|Property failed/)
  }

  test("catches a reward that drops a rollout", () =>
    broken(
      "one verdict per rollout",
      Reward.make("drops", (group) => Effect.succeed(group.rollouts.slice(1).map(() => Reward.scored(1, {}))))
    ))

  test("catches a reward that is not finite for an empty prediction", () =>
    broken(
      "finite values",
      Reward.pure("density", ({ prediction }) => (prediction.outcome === "empty" ? 0 / 0 : 1))
    ))

  test("catches a reward with a memory", () => {
    let asked = 0
    return broken(
      "when asked again",
      Reward.pure("counts", () => asked++)
    )
  })

  test("catches a reward that looks at the place in the group", () =>
    broken(
      "order of the group",
      Reward.make("first", (group) => Effect.succeed(group.rollouts.map((_, i) => Reward.scored(i === 0 ? 1 : 0, {}))))
    ))
})

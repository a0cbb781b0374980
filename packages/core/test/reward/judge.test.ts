import { describe, expect, expectTypeOf } from "vitest"
import { it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Reward from "../../src/reward/index.ts"
import type { Group } from "../../src/rl/Group.ts"
import { utf8 } from "../../src/prompt/bytes.ts"
import { groupOf } from "./fixtures.ts"

const group = groupOf("ab", [utf8("</think>\\boxed{a}"), utf8("</think>\\boxed{x}"), utf8("")])
const verdictsOf = ({ rollouts }: Group) => rollouts.map(({ verdict }) => verdict)
const all = (verdict: Reward.Verdict) => group.rollouts.map(() => verdict)

class Down extends Schema.TaggedError<Down>()("Down", {}) {
  override get message() {
    return "the model is\n  down"
  }
}

describe("judging a group never fails:", () => {
  it.effect("a reward that throws is unscorable, by its message in one line", () =>
    Effect.gen(function* () {
      const throws = Reward.make("throws", () => {
        throw new Error("no\n luck")
      })
      const dies = Reward.make("dies", () => Effect.die("poison"))
      const fails = Reward.make("fails", () => Effect.fail(new Down()))
      expectTypeOf(Reward.judge(fails, group)).toEqualTypeOf<Effect.Effect<Group>>()
      expect(verdictsOf(yield* Reward.judge(throws, group))).toEqual(
        all(Reward.unscorable("throws threw: no luck", "threw"))
      )
      expect(verdictsOf(yield* Reward.judge(dies, group))).toEqual(
        all(Reward.unscorable("dies threw: poison", "threw"))
      )
      expect(verdictsOf(yield* Reward.judge(fails, group))).toEqual(
        all(Reward.unscorable("fails failed: the model is down", "failed"))
      )
    })
  )

  it.effect("a function that throws for one rollout leaves the others scored", () =>
    Effect.gen(function* () {
      const picky = Reward.pure("picky", ({ rollout }) => {
        if (rollout.index === 1) throw new TypeError("not this one")
        return 1
      })
      const one = Reward.scored(1, { picky: 1 })
      expect(verdictsOf(yield* Reward.judge(picky, group))).toEqual([
        one,
        Reward.unscorable("picky threw: not this one", "threw"),
        one
      ])
    })
  )

  it.effect("one that gives no answer is unscorable when its time is over, and not before", () =>
    Effect.gen(function* () {
      const hangs = Reward.make("hangs", () => Effect.never)
      const judged = yield* Effect.forkChild(Reward.judge(hangs, group))
      yield* TestClock.adjust("9999 millis")
      expect(judged.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(verdictsOf(yield* Fiber.join(judged))).toEqual(
        all(Reward.unscorable("hangs gave no answer within 10s", "timeout"))
      )
      const sooner = yield* Effect.forkChild(Reward.judge(Reward.sum(hangs), group, { timeLimit: "1 minute" }))
      yield* TestClock.adjust("1 minute")
      expect(verdictsOf(yield* Fiber.join(sooner))[0]).toMatchObject({ kind: "timeout" })
    })
  )

  it.effect("an answer that is late but in time counts", () =>
    Effect.gen(function* () {
      const slow = Reward.make("slow", () => Effect.delay(Effect.succeed(all(Reward.scored(1, {}))), "9 seconds"))
      const judged = yield* Effect.forkChild(Reward.judge(slow, group))
      yield* TestClock.adjust("9 seconds")
      expect(verdictsOf(yield* Fiber.join(judged))).toEqual(all(Reward.scored(1, {})))
    })
  )

  it.effect("what is no verdict is unscorable: NaN in a value or a part, nothing at all, a text", () =>
    Effect.gen(function* () {
      const nan = Reward.make("nan", () =>
        Effect.succeed([Reward.scored(1, { part: NaN }), Reward.scored(1, {}), Reward.scored(1, {})])
      )
      expect(verdictsOf(yield* Reward.judge(nan, group))[0]).toEqual(
        Reward.unscorable("nan, part part, gave NaN, which is no finite number", "not-a-number")
      )
      // A reward written without types: the casts stand for JavaScript.
      const untyped = (answer: unknown) =>
        Reward.make("untyped", () => Effect.succeed(answer as ReadonlyArray<Reward.Verdict>))
      expect(verdictsOf(yield* Reward.judge(untyped(undefined), group))[0]).toEqual(
        Reward.unscorable("untyped gave 0 verdicts for 3 rollouts", "miscounted")
      )
      const [nothing, text, value] = verdictsOf(
        yield* Reward.judge(untyped([undefined, "1", { _tag: "Scored", value: "1", parts: {} }]), group)
      )
      expect(nothing).toMatchObject({ kind: "not-a-number", reason: "untyped gave undefined, which is no verdict" })
      expect(text).toMatchObject({ kind: "not-a-number", reason: 'untyped gave "1", which is no verdict' })
      expect(value).toMatchObject({ kind: "not-a-number", reason: 'untyped gave "1", which is no finite number' })
    })
  )

  it.effect("a broken term is named in the reason of a sum", () =>
    Effect.gen(function* () {
      const broken = Reward.make("broken", () => Effect.die(new Error("no")))
      const mixed = Reward.sum(Reward.prefixMatch, broken)
      expect(verdictsOf(yield* Reward.judge(mixed, group))).toEqual(all(Reward.unscorable("broken threw: no", "threw")))
    })
  )
})

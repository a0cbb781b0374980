import { describe, expect, test } from "vitest"
import { it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import { utf8 } from "../../src/prompt/bytes.ts"
import { boxed, render } from "../../src/prompt/Template.ts"
import { editDistance, segmentOf } from "../../src/reward/segmentMatch.ts"
import { repeatedNgrams } from "../../src/reward/shaping.ts"
import * as Reward from "../../src/reward/index.ts"
import { groupOf, valuesOf } from "./fixtures.ts"

const answers = (...texts: ReadonlyArray<string>) => texts.map((text) => render(boxed, utf8("t"), utf8(text)))
const failures = ["\\boxed{a}", "</think>a", "</think>\\boxed{a", "</think>\\boxed{}"].map(utf8)

describe("firstToken", () => {
  it.effect("pays when the answer opens with the first true token, whatever follows", () =>
    Effect.gen(function* () {
      const group = groupOf([" pa", "ra"], [...answers(" pa", " para", " pant", " p", "pa"), ...failures])
      expect(yield* valuesOf(Reward.firstToken, group)).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 0])
      expect(yield* valuesOf(Reward.prefixMatch, group)).toEqual([1, 1, 0, 0, 0, 0, 0, 0, 0])
    })
  )

  it.effect("looks past a token of no bytes", () =>
    Effect.gen(function* () {
      expect(yield* valuesOf(Reward.firstToken, groupOf(["", "a"], answers("a", "b")))).toEqual([1, 0])
    })
  )
})

describe("uniformPenalty", () => {
  it.effect("is the paper's reward with the same price on every failure", () =>
    Effect.gen(function* () {
      const group = groupOf("ab", [...answers("a", "ab", "x"), ...failures])
      expect(yield* valuesOf(Reward.uniformPenalty({ penalty: 0.2 }), group)).toEqual([
        1, 1, -0.2, -0.2, -0.2, -0.2, -0.2
      ])
      expect(() => Reward.uniformPenalty({ penalty: -1 })).toThrow(/penalty is -1: it must be at least 0/)
    })
  )
})

describe("format", () => {
  it.effect("pays for any answer and for no failure", () =>
    Effect.gen(function* () {
      expect(yield* valuesOf(Reward.format, groupOf("ab", [...answers("x"), ...failures]))).toEqual([1, 0, 0, 0, 0])
    })
  )
})

describe("rewards that ask for the truth", () => {
  /** log-probabilities after the thought are -1, -2, ... by place in the group; the baseline's is -2 a token. */
  const truth = Layer.succeed(Reward.Truth, {
    afterThought: ({ rollouts }, tokens) => Effect.succeed(rollouts.map((_, i) => -(i + 1) * tokens)),
    baseline: (_, tokens) => Effect.succeed(-2 * tokens)
  })
  const thinking = [...answers("x", "a"), utf8("</think>"), utf8("cut off")]

  it.effect("dense is the probability, and 0 for a thought that never ended", () =>
    Effect.gen(function* () {
      const group = groupOf("ab", thinking)
      expect(yield* valuesOf(Reward.dense(), group)).toEqual([Math.exp(-1), Math.exp(-2), Math.exp(-3), 0])
      expect(yield* valuesOf(Reward.dense({ tokens: 2 }), group)).toEqual([Math.exp(-2), Math.exp(-4), Math.exp(-6), 0])
    }).pipe(Effect.provide(truth))
  )

  it.effect("conditionalDense pays only in groups that have a winner", () =>
    Effect.gen(function* () {
      const reward = Reward.conditionalDense({ penalty: 0.1 })
      const won = yield* valuesOf(reward, groupOf("ab", thinking))
      expect(won).toEqual([Math.exp(-1), Math.exp(-2), Math.exp(-3), 0])
      expect(yield* valuesOf(reward, groupOf("cd", thinking))).toEqual([-0.1, -0.1, -0.1, -0.1])
      expect(reward.name).toBe("conditionalDense")
    }).pipe(Effect.provide(truth))
  )

  it.effect("informationGain is the gain in nats within its limit; a thought that never ended gains nothing", () =>
    Effect.gen(function* () {
      const group = groupOf("ab", thinking)
      expect(yield* valuesOf(Reward.informationGain(), group)).toEqual([1, 0, -1, -2])
      expect(yield* valuesOf(Reward.informationGain({ limit: 0.5 }), group)).toEqual([0.5, 0, -0.5, -0.5])
      expect(yield* valuesOf(Reward.informationGain(), groupOf("ab", [utf8("cut off")]))).toEqual([0])
    }).pipe(Effect.provide(truth))
  )

  it.effect("a group whose condition cannot be told is unscorable, never 0", () =>
    Effect.gen(function* () {
      const group = groupOf("ab", answers("x", "x"))
      const unsure = Reward.pure("unsure", ({ rollout }) => (rollout.index === 0 ? Reward.unscorable("who knows") : 0))
      const sure = Reward.pure("sure", ({ rollout }) => (rollout.index === 0 ? Reward.unscorable("who knows") : 1))
      expect(yield* valuesOf(Reward.perGroup(unsure, Reward.format), group)).toEqual(["who knows", "who knows"])
      expect(yield* valuesOf(Reward.perGroup(sure, Reward.format), group)).toEqual(["who knows", 1])
    })
  )

  test("refuses settings that mean nothing", () => {
    expect(() => Reward.dense({ tokens: 0 })).toThrow(/tokens is 0: a whole number of at least 1/)
    expect(() => Reward.informationGain({ limit: 0 })).toThrow(/limit is 0: a positive number/)
  })
})

describe("segmentMatch", () => {
  test("takes the next segment up to a sentence end, a line feed, or all there is", () => {
    const of = (text: string) => Buffer.from(segmentOf(utf8(text))).toString()
    expect(of(" it is 3.5 now. Then")).toBe(" it is 3.5 now.")
    expect(of("a\nb")).toBe("a\n")
    expect(of("Why? Because")).toBe("Why?")
    expect(of("no end.")).toBe("no end.")
  })

  it.effect("is 1 for the segment alone and falls with distance and with the first difference", () =>
    Effect.gen(function* () {
      const group = groupOf("abcd. ef", [...answers("abcd.", "abcd", "xbcd.", "abcd. ef", "zzzzz"), ...failures])
      const values = yield* valuesOf(Reward.segmentMatch(), group)
      // One of five bytes missing at the end; one wrong at the start; three too many; all wrong.
      expect(values.slice(0, 5)).toEqual([1, 0.8, 0.4, 0.625, 0])
      expect(values.slice(5)).toEqual([0, 0, 0, 0])
      expect(yield* valuesOf(Reward.segmentMatch({ lambda: 1 }), group)).toEqual([1, 0.8, 0, 0.625, 0, 0, 0, 0, 0])
    })
  )

  test("measures an edit distance: the recursion written out agrees, and it is a metric", () => {
    const word = fc.uint8Array({ max: 2, maxLength: 6 })
    const byDefinition = (a: Uint8Array, b: Uint8Array): number => {
      if (a.length === 0 || b.length === 0) return a.length + b.length
      if (a[0] === b[0]) return byDefinition(a.subarray(1), b.subarray(1))
      return (
        1 +
        Math.min(
          byDefinition(a.subarray(1), b),
          byDefinition(a, b.subarray(1)),
          byDefinition(a.subarray(1), b.subarray(1))
        )
      )
    }
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(editDistance(a, b)).toBe(byDefinition(a, b))
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c))
      }),
      { numRuns: 300 }
    )
  })
})

describe("prices", () => {
  const ofLength = (length: number) => new Uint8Array(length)

  it.effect("overlong is free up to the buffer, then falls to -1", () =>
    Effect.gen(function* () {
      const group = groupOf("ab", [0, 6, 8, 10, 11].map(ofLength))
      expect(yield* valuesOf(Reward.overlong({ limit: 10, buffer: 4 }), group)).toEqual([0, 0, -0.5, -1, -1])
      expect(() => Reward.overlong({ limit: 2, buffer: 4 })).toThrow(/buffer is 4: at most limit \(2\)/)
    })
  )

  it.effect("repetition counts n-grams that were said before", () =>
    Effect.gen(function* () {
      const group = groupOf("ab", ["abcabc", "abcdef", "aaaa"].map(utf8))
      expect(yield* valuesOf(Reward.repetition({ n: 2, limit: 4 }), group)).toEqual([-0.5, 0, -0.5])
    })
  )

  test("saying more never lowers the price of repetition", () => {
    const tokens = fc.array(fc.nat(2), { maxLength: 12 })
    fc.assert(
      fc.property(tokens, tokens, fc.integer({ min: 1, max: 4 }), (said, more, n) => {
        const [before, after] = [Int32Array.from(said), Int32Array.from([...said, ...more])]
        expect(repeatedNgrams(after, n)).toBeGreaterThanOrEqual(repeatedNgrams(before, n))
        const quoted = Int32Array.from([...more, ...said])
        expect(repeatedNgrams(quoted, n)).toBeGreaterThanOrEqual(repeatedNgrams(before, n))
      })
    )
  })
})

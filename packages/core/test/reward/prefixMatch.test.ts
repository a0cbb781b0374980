import { describe, expect, test } from "vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import type { Continuation, Problem } from "../../src/data/NextToken.ts"
import { utf8 } from "../../src/prompt/bytes.ts"
import { boxed, compact, parse, render } from "../../src/prompt/Template.ts"
import * as Reward from "../../src/reward/index.ts"
import type { ParsedRollout } from "../../src/rl/Rollout.ts"
import { behaviourLogprobs } from "../../src/rl/Rollout.ts"
import { arbitraries, laws } from "../../src/testing/index.ts"

const problemOf = (...tokens: ReadonlyArray<Uint8Array>): Problem => {
  const table = [utf8("context"), ...tokens]
  const document = { id: "d", tokens: Int32Array.from(table.keys()) }
  return { id: "d@1", document, anchor: 1, continuation: arbitraries.continuationOf(table, document, 1) }
}

const rolloutOf = (problem: Problem, completion: Uint8Array): ParsedRollout => ({
  rollout: {
    id: "r",
    problem,
    index: 0,
    policyVersion: arbitraries.policyVersion,
    completion: { tokens: Int32Array.from(completion), ended: "stop" },
    behaviourLogprobs: behaviourLogprobs(new Float32Array(completion.length)),
    temperature: 1,
    bytes: completion
  },
  prediction: parse(boxed, completion)
})

/** Values of the paper's reward for whole completions. */
const valuesOf = (problem: Problem, ...completions: ReadonlyArray<Uint8Array>) => {
  const rollouts = completions.map((completion) => rolloutOf(problem, completion))
  return Effect.runSync(Reward.prefixMatch.score({ problem, rollouts })).map((verdict) =>
    verdict._tag === "Scored" ? verdict.value : verdict.reason
  )
}

const valueOf = (problem: Problem, answer: string | Uint8Array) =>
  valuesOf(problem, render(boxed, utf8("t"), typeof answer === "string" ? utf8(answer) : answer))[0]

describe("the paper's reward", () => {
  test("takes lengths from raw token bytes: half a character is a boundary, a token cut in two is none", () => {
    const problem = problemOf(Uint8Array.of(0xc3), Uint8Array.of(0xa9), utf8("ab"))
    expect(problem.continuation.boundaries).toEqual([1, 2, 4])
    expect(valueOf(problem, "éa")).toBe(0)
    expect(valueOf(problem, "é")).toBe(1)
    expect(valueOf(problem, Uint8Array.of(0xc3))).toBe(1)
    expect(valueOf(problem, "éab")).toBe(1)
  })

  test("gives nothing for the empty prediction, even where a token of zero bytes is a boundary", () => {
    const problem = problemOf(new Uint8Array(0), utf8("a"))
    expect(problem.continuation.boundaries).toEqual([0, 1])
    expect(valueOf(problem, "")).toBe(0)
    expect(Reward.matchesPrefix(new Uint8Array(0), problem.continuation)).toBe(false)
    expect(valueOf(problem, "a")).toBe(1)
  })

  test("never trims", () => {
    const problem = problemOf(utf8(" para"), utf8("graph"))
    expect(["para", " para", " para ", " paragraph"].map((answer) => valueOf(problem, answer))).toEqual([0, 1, 0, 1])
  })

  test("balances braces: an answer with braces wins, a brace alone cannot", () => {
    expect(valueOf(problemOf(utf8("\\frac{1}{2}"), utf8(" x")), "\\frac{1}{2}")).toBe(1)
    expect(valueOf(problemOf(utf8("}"), utf8(" x")), "}")).toBe(0)
    expect(valueOf(problemOf(utf8("{"), utf8("1"), utf8("}")), "{")).toBe(0)
    expect(valueOf(problemOf(utf8("{"), utf8("1"), utf8("}")), "{1}")).toBe(1)
  })

  test("tells a literal \\n from a newline", () => {
    expect(valueOf(problemOf(utf8("\n"), utf8("x")), "\\n")).toBe(0)
    expect(valueOf(problemOf(utf8("\n"), utf8("x")), "\n")).toBe(1)
    expect(valueOf(problemOf(utf8("\\n"), utf8("x")), "\n")).toBe(0)
  })

  test("gives 0, not unscorable, for every way to fail, which stay apart as outcomes", () => {
    const problem = problemOf(utf8("ab"))
    const completions = ["\\boxed{ab}", "</think>ab", "</think>\\boxed{ab", "</think>\\boxed{}", "</think>\\boxed{x}"]
    expect(valuesOf(problem, ...completions.map(utf8))).toEqual([0, 0, 0, 0, 0])
    const outcomes = completions.map((completion) => parse(boxed, utf8(completion)).outcome)
    expect(outcomes).toEqual(["truncated", "no-box", "malformed", "empty", "answered"])
  })

  test("gives no more for two right tokens than for one", () => {
    const problem = problemOf(utf8("ab"), utf8("cd"))
    expect([valueOf(problem, "ab"), valueOf(problem, "abcd")]).toEqual([1, 1])
  })

  test("gives nothing beyond the known continuation", () => {
    const problem = problemOf(utf8("ab"))
    expect(valueOf(problem, "abc")).toBe(0)
  })

  test("agrees with the definition written out: some n >= 1 tokens whose bytes are the prediction", () => {
    const spelled = (bytes: Uint8Array) => Array.from(bytes).join()
    const wins = (prediction: Uint8Array, tokens: ReadonlyArray<Uint8Array>) =>
      prediction.length > 0 &&
      tokens.some(
        (_, n) =>
          tokens
            .slice(0, n + 1)
            .flatMap((token) => Array.from(token))
            .join() === spelled(prediction)
      )
    let won = 0
    for (const template of [boxed, compact]) {
      const cases = arbitraries.problem.chain(({ table, problem }) =>
        arbitraries
          .completion(template, problem.continuation)
          .map(({ bytes }) => ({ table, problem, prediction: parse(template, bytes) }))
      )
      fc.assert(
        fc.property(cases, ({ table, problem, prediction }) => {
          if (prediction.outcome !== "answered") return
          const tokens = Array.from(problem.document.tokens.subarray(problem.anchor), (token) => table[token])
          const expected = wins(prediction.bytes, tokens)
          if (expected) won++
          expect(Reward.matchesPrefix(prediction.bytes, problem.continuation as Continuation)).toBe(expected)
        }),
        { numRuns: 1000 }
      )
    }
    expect(won).toBeGreaterThan(100)
  })
})

describe("laws", () => {
  for (const template of [boxed, compact]) {
    for (const { name, check } of laws.reward(Reward.prefixMatch, { template }))
      test(`${name} (${template.name})`, check)
  }
})

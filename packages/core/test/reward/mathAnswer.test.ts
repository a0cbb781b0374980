import { describe, expect, test } from "vitest"
import { it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { readFileSync } from "node:fs"
import { extractAnswer } from "../../src/reward/math/extractAnswer.ts"
import { normalize } from "../../src/reward/math/normalize.ts"
import { readRational } from "../../src/reward/math/rational.ts"
import * as Reward from "../../src/reward/index.ts"
import { utf8 } from "../../src/prompt/bytes.ts"
import { boxed, render } from "../../src/prompt/Template.ts"
import { forAll } from "../../src/testing/index.ts"
import { shared } from "../data/shared.ts"
import { groupOf, valuesOf } from "./fixtures.ts"

describe("the same answer", () => {
  const same: ReadonlyArray<readonly [given: string, truth: string]> = [
    ["42", "So she has 6*7=<<6*7=42>>42 apples.\n#### 42"],
    ["$1,234.50", "1234.5"],
    ["1{,}000".replace("{,}", ","), "1000"],
    ["\\frac12", "0.5"],
    ["\\dfrac{1}{2}", "1/2"],
    ["-\\frac{3}{6}", "-0.5"],
    ["1\\frac{1}{2}", "1.5"],
    ["\\boxed{\\frac{4}{6}}", "Thus it is $\\boxed{\\frac{2}{3}}$."],
    ["61^{\\circ}", "61"],
    ["x = 5", "5"],
    ["5 \\text{ cm}", "5"],
    ["12 apples", "12"],
    ["50\\%", "50"],
    ["\\text{Alice}", "Alice"],
    ["10 \\sqrt{3}-15", "10\\sqrt{3} - 15"],
    ["\\left( 1, 2 \\right)", "(1,2)"],
    ["2, 1", "1, 2"],
    ["\\{1/2, 3\\}", "3, 0.5"],
    // Computer algebra from here on.
    ["\\sqrt{8}", "2\\sqrt2"],
    ["\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"],
    ["(x-1)(x+1)", "x^2-1"],
    ["2^{10}", "1024"],
    ["\\binom{5}{2}", "10"]
  ]
  test.each(same)("%j is %j, whichever is the reference", async (given, truth) => {
    expect(await Reward.sameAnswer(given, truth)).toBe(true)
    expect(await Reward.sameAnswer(truth, given)).toBe(true)
  })

  const different: ReadonlyArray<readonly [given: string, truth: string]> = [
    ["41", "42"],
    ["", ""],
    ["4", "42"],
    ["42 or 43", "42"],
    ["41, 42", "42"],
    ["I think 41, no, 42", "42"],
    ["0.333333333333", "\\frac{1}{3}"],
    ["1/0", "1/0 + 1"],
    ["\\frac{0}{0}", "0"],
    ["\\tan 90", "\\frac{2}{0}"],
    ["(1,2)", "(2,1)"],
    ["(1,2)", "[1,2]"],
    ["(1,2)", "1,2"],
    ["1,2,2", "1,1,2"],
    ["-5", "5"],
    ["x^2", "x2"],
    ["x+1", "x-1"],
    ["\\sqrt{2}", "1.5"],
    ["Alice", "Bob"],
    ["1+", "1"],
    ["}{", "{}"],
    ["10^{10^{10}}", "10^{10^{11}}"],
    ["99999!", "3"]
  ]
  test.each(different)("%j is not %j", async (given, truth) => {
    expect(await Reward.sameAnswer(given, truth)).toBe(false)
    expect(await Reward.sameAnswer(truth, given)).toBe(false)
  })

  test("is extracted from the last box, the last ####, or the last announcement", () => {
    const cases: ReadonlyArray<readonly [text: string, answer: string]> = [
      ["\\boxed{1} and \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"],
      ["\\boxed{1", "\\boxed{1"],
      ["\\boxed{\\}}", "\\}"],
      ["72+1=73\n#### 73", "73"],
      ["The answer is: 8\nDone", "8"],
      ["the answer is 7.\n#### 9", "9"],
      [" 5 ", "5"]
    ]
    for (const [text, answer] of cases) expect(extractAnswer(text), text).toBe(answer)
  })

  it.effect("holds for every spelling of a number, and for no other number", () => {
    const integer = fc.integer({ min: -5000, max: 5000 })
    const denominator = fc.integer({ min: 1, max: 400 })
    const spelled = (numerator: number, denominator: number): ReadonlyArray<string> => [
      `${numerator}/${denominator}`,
      `${numerator < 0 ? "-" : ""}\\frac{${Math.abs(numerator)}}{${denominator}}`,
      ...(denominator === 1 ? [`${numerator}`, `${numerator}.00`, `$${numerator}$`] : [])
    ]
    return forAll(fc.tuple(integer, denominator, integer, denominator), ([a, b, c, d]) =>
      Effect.gen(function* () {
        const exact = BigInt(a) * BigInt(d) === BigInt(c) * BigInt(b)
        for (const left of spelled(a, b)) {
          for (const right of spelled(c, d)) {
            expect(yield* Effect.promise(() => Reward.sameAnswer(left, right)), `${left} ${right}`).toBe(exact)
          }
        }
      })
    )
  })

  test("does not hang or break on whatever a model may write", async () => {
    const words = fc.constantFrom(
      ..."\\frac \\sqrt { } ( ) [ ] ^ _ ! , . 0 1 9 99999 x = + - * / \\boxed{ #### \\text{ $ % é".split(" ")
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(words, { maxLength: 10 }).map((picked) => picked.join("")),
        fc.array(words, { maxLength: 10 }).map((picked) => picked.join("")),
        async (a, b) => {
          const began = performance.now()
          const forth = await Reward.sameAnswer(a, b)
          expect(await Reward.sameAnswer(b, a)).toBe(forth)
          expect(performance.now() - began).toBeLessThan(5000)
          if (normalize(extractAnswer(a)) !== "") expect(await Reward.sameAnswer(a, a)).toBe(true)
        }
      ),
      { numRuns: 200 }
    )
  })
})

describe("an exact number", () => {
  test("keeps every digit", () => {
    expect(readRational("0.1")).toEqual({ numerator: 1n, denominator: 10n })
    expect(readRational("12345678901234567890.5")).toEqual({ numerator: 24691357802469135781n, denominator: 2n })
    for (const none of ["", ".", "1/0", "\\frac{1}{0}", "1e5", "one", "1/2/3", "9".repeat(500)]) {
      expect(readRational(none), none).toBeUndefined()
    }
  })
})

describe("mathAnswer", () => {
  it.effect("pays for a right answer in the form of the template, and for nothing else", () =>
    Effect.gen(function* () {
      const group = groupOf("It is 6*7.\n#### 42", [
        render(boxed, utf8("t"), utf8("42.0")),
        render(boxed, utf8("t"), utf8("43")),
        utf8("42"),
        utf8("</think>42"),
        render(boxed, utf8("t"), Uint8Array.of(0x34, 0x32, 0xff))
      ])
      expect(yield* valuesOf(Reward.mathAnswer, group)).toEqual([1, 0, 0, 0, 0])
    })
  )

  const omni = shared("data/omni-math/valid.jsonl")
  test.skipIf(omni.missing)(
    "tells the answers of omni-math from one another and knows each in its own solution",
    async () => {
      const lines = readFileSync(omni.path, "utf8").trim().split("\n").slice(0, 120)
      const problems = lines.map((line): { answer: string; solution: string } => JSON.parse(line))
      let boxed = 0
      for (const [i, { answer, solution }] of problems.entries()) {
        expect(await Reward.sameAnswer(answer, `\\boxed{${answer}}`), answer).toBe(true)
        if (solution.includes("\\boxed{")) {
          boxed++
          expect(await Reward.sameAnswer(answer, solution), answer).toBe(true)
        }
        const other = problems[(i + 1) % problems.length].answer
        if (normalize(other) !== normalize(answer)) expect(await Reward.sameAnswer(answer, other), other).toBe(false)
      }
      expect(boxed).toBeGreaterThan(10)
    }
  )
})

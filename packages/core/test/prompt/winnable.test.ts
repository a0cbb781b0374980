import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { readFileSync } from "node:fs"
import { continuation } from "../../src/data/NextToken.ts"
import { utf8 } from "../../src/prompt/bytes.ts"
import { boxed, builtin, compact, escaped, parse, render } from "../../src/prompt/Template.ts"
import { winnability, winnable } from "../../src/prompt/winnable.ts"
import { matchesPrefix } from "../../src/reward/prefixMatch.ts"
import { shared } from "../data/shared.ts"

const of = (...tokens: ReadonlyArray<string>) => continuation(tokens.map(utf8))

describe("a position", () => {
  test("cannot be won in a box where no prefix has balanced braces", () => {
    expect(winnable(boxed, of(" word", "}"))).toBe(true)
    expect(winnable(boxed, of("}", " word"))).toBe(false)
    expect(winnable(boxed, of("{", "1", " + 1"))).toBe(false)
    expect(winnable(boxed, of("{", "1", "}"))).toBe(true)
    expect(winnable(boxed, of("}{"))).toBe(false)
    expect(winnable(boxed, of("\\boxed{", "1", "}"))).toBe(false)
    expect(winnable(boxed, of("</think>"))).toBe(false)
  })

  test("can always be won where braces can be escaped, but for the template's own markers", () => {
    for (const token of ["}", "{", "}{", "\\", "\n", "\\n", "\\boxed{"])
      expect(winnable(escaped, of(token)), token).toBe(true)
    expect(winnable(escaped, of("</think>"))).toBe(false)
  })

  test("cannot be won in the special-token form where the end stands in the text", () => {
    expect(winnable(compact, of("}", "x"))).toBe(true)
    expect(winnable(compact, of("<|end|>"))).toBe(false)
  })

  test("cannot be won where nothing follows", () => {
    expect(winnable(boxed, of())).toBe(false)
    expect(winnable(boxed, { bytes: new Uint8Array(0), boundaries: [0] })).toBe(false)
  })

  test("can be won if and only if some rendered answer wins under the paper's reward", () => {
    const text = fc.array(fc.constantFrom("{", "}", "a", "\\", "\n", "\\boxed{", "</think>", "<|end|>", "é"), {
      maxLength: 6
    })
    const seen = { won: 0, lost: 0 }
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(builtin)), text, (template, tokens) => {
        const truth = of(...tokens)
        // Every prefix of the bytes, not only those on a boundary.
        const wins = Array.from(truth.bytes, (_, i) => truth.bytes.subarray(0, i + 1)).some((answer) => {
          const prediction = parse(template, render(template, utf8("t"), answer))
          return (
            prediction.outcome === "answered" &&
            Buffer.from(prediction.bytes).equals(answer) &&
            matchesPrefix(prediction.bytes, truth)
          )
        })
        seen[wins ? "won" : "lost"]++
        expect(winnable(template, truth)).toBe(wins)
      }),
      { numRuns: 1000 }
    )
    expect(Math.min(seen.won, seen.lost)).toBeGreaterThan(100)
  })

  test("counts by the first token alone, too", () => {
    const problems = [of("a"), of("{", "1", "}"), of("}")].map((continuation) => ({ continuation }))
    expect(winnability(boxed, problems)).toEqual({ positions: 3, unwinnable: 1, firstTokenUnwinnable: 2 })
    expect(winnability(boxed, [])).toEqual({ positions: 0, unwinnable: 0, firstTokenUnwinnable: 0 })
  })

  const omni = shared("data/omni-math/valid.jsonl")
  test.skipIf(omni.missing)("of LaTeX often cannot be won in a box, and always in an escaped one", () => {
    const lines = readFileSync(omni.path, "utf8").trim().split("\n").slice(0, 20)
    const problems = lines.flatMap((line) => {
      const { solution }: { readonly solution: string } = JSON.parse(line)
      // Runs of letters, runs of blanks, and every other character as a token of its own.
      const tokens = Array.from(solution.matchAll(/[a-zA-Z]+|\s+|./gu), ([token]) => utf8(token))
      return tokens.map((_, i) => ({ continuation: continuation(tokens.slice(i, i + 16)) }))
    })
    const { positions, unwinnable, firstTokenUnwinnable } = winnability(boxed, problems)
    expect(positions).toBeGreaterThan(1000)
    expect(unwinnable / positions).toBeGreaterThan(0.02)
    expect(unwinnable).toBeLessThan(firstTokenUnwinnable)
    expect(winnability(escaped, problems)).toEqual({ positions, unwinnable: 0, firstTokenUnwinnable: 0 })
  })
})

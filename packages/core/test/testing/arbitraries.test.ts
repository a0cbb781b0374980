import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { continuation } from "../../src/data/NextToken.ts"
import { bytesAt, tokenBytes } from "../../src/data/tokenBytes.ts"
import { matchesPrefix } from "../../src/reward/index.ts"
import { boxed, parse } from "../../src/prompt/Template.ts"
import { utf8 } from "../../src/prompt/bytes.ts"
import { arbitraries } from "../../src/testing/index.ts"

describe("arbitraries", () => {
  test("a token table can spell any bytes and has no token of zero bytes", () => {
    fc.assert(
      fc.property(arbitraries.tokenTable, (table) => {
        expect(table.slice(0, 256)).toEqual(arbitraries.byteTokens)
        expect(table.every((token) => token.length > 0)).toBe(true)
      })
    )
  })

  test("tables hold tokens that are no text: characters cut in two", () => {
    const isText = (bytes: Uint8Array) => Buffer.from(Buffer.from(bytes).toString()).equals(bytes)
    const tables = fc.sample(arbitraries.tokenTable, 100)
    expect(tables.filter((table) => table.slice(256).some((token) => !isText(token))).length).toBeGreaterThan(10)
  })

  test.each(arbitraries.vocabularyKinds)(
    "a %s vocabulary is spelled so that its table can be read from tokenizer.json",
    (kind) => {
      fc.assert(
        fc.property(arbitraries.vocabulary(kind), ({ table, json }) => {
          const read = tokenBytes(json)
          expect(read.size).toBe(table.length)
          expect(table.map((_, id) => Array.from(bytesAt(read, id)))).toEqual(table.map((token) => Array.from(token)))
        })
      )
    }
  )

  test("a document's tokens are in its table, and a problem's continuation is the rest of the document", () => {
    fc.assert(
      fc.property(arbitraries.problem, ({ table, problem: { document, anchor, continuation } }) => {
        expect(document.tokens.every((token) => token >= 0 && token < table.length)).toBe(true)
        const rest = Array.from(document.tokens.subarray(anchor), (token) => Array.from(table[token]))
        expect(Array.from(continuation.bytes)).toEqual(rest.flat())
        expect(continuation.boundaries.length).toBe(rest.length)
        expect(continuation.boundaries.at(-1)).toBe(continuation.bytes.length)
        expect(anchor).toBeGreaterThan(0)
      })
    )
  })

  test("the continuation that the data room builds is the one of the definition", () => {
    fc.assert(
      fc.property(arbitraries.problem, ({ table, problem: { document, anchor, continuation: expected } }) => {
        const rest = Array.from(document.tokens.subarray(anchor), (token) => table[token])
        expect(continuation(rest)).toEqual(expected)
      })
    )
  })

  test("near misses mostly miss, right completions mostly win", () => {
    const truth = { bytes: utf8(" the cat sat"), boundaries: [4, 8, 12] }
    const wins = (kind: arbitraries.CompletionKind) => {
      const cases = fc.sample(arbitraries.completion(boxed, truth), 2000).filter((each) => each.kind === kind)
      const won = cases.filter(({ bytes }) => {
        const prediction = parse(boxed, bytes)
        return prediction.outcome === "answered" && matchesPrefix(prediction.bytes, truth)
      })
      return { cases: cases.length, share: won.length / cases.length }
    }
    expect(wins("right")).toMatchObject({ share: 1 })
    expect(wins("near miss").share).toBeLessThan(0.1)
    expect(wins("answer in the thought").share).toBe(0)
    expect(wins("right").cases).toBeGreaterThan(200)
  })

  test("near misses miss in every way that rewards have been caught by", () => {
    const right = utf8(" The e\u0301\n")
    const truth = { bytes: utf8(" The e\u0301\n and more"), boundaries: [right.length, right.length + 9] }
    const missed = new Set(
      fc.sample(arbitraries.nearMiss, 3000).map((nearMiss) => Buffer.from(nearMiss(right, truth)).toString())
    )
    for (const near of [
      " The e\u0301",
      " The e\u0301\n ",
      "The e\u0301",
      " the e\u0301\n",
      " THE E\u0301\n",
      " The \u00e9\n",
      " The e\u0301\\n",
      " Th\u0435 \u0435\u0301\n".replaceAll(" ", "\u00a0"),
      " The e\u0301\n The e\u0301\n"
    ]) {
      expect(missed).toContain(near)
    }
    expect(missed).not.toContain(" The e\u0301\n")
  })

  test("a group has one rollout per index, with one log-probability per token", () => {
    fc.assert(
      fc.property(arbitraries.parsedGroup(), ({ problem, rollouts }) => {
        rollouts.forEach(({ rollout }, i) => {
          expect(rollout.index).toBe(i)
          expect(rollout.problem).toBe(problem)
          expect(rollout.behaviourLogprobs.length).toBe(rollout.completion.tokens.length)
        })
      })
    )
  })
})

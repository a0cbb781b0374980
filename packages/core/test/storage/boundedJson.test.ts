import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseJson } from "../../src/storage/boundedJson.ts"

const depthOf = (value: unknown): number =>
  typeof value !== "object" || value === null ? 0 : 1 + Math.max(0, ...Object.values(value).map(depthOf))

describe("parseJson", () => {
  it("gives what JSON.parse gives, or says that there are too many levels", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 6 }), (value, depth) => {
        const text = JSON.stringify(value)
        const parsed = parseJson(text, depth)
        if (depthOf(value) <= depth) expect(Result.getOrThrow(parsed)).toEqual(JSON.parse(text))
        else expect(parsed).toEqual(Result.fail(`is nested deeper than ${depth} levels`))
      })
    )
  })

  it("counts no bracket inside of a text", () => {
    expect(parseJson(String.raw`["[[[\"[[\\"]`, 1)).toEqual(Result.succeed([String.raw`[[["[[\ `.trimEnd()]))
  })

  it("answers ten million open brackets at once, and what is no JSON", () => {
    expect(parseJson("[".repeat(1e7))).toEqual(Result.fail("is nested deeper than 64 levels"))
    expect(parseJson('{"a":'.repeat(1e6))).toEqual(Result.fail("is nested deeper than 64 levels"))
    expect(parseJson("[1,")).toEqual(Result.fail("is not JSON"))
    expect(parseJson("}}}[")).toEqual(Result.fail("is not JSON"))
  })
})

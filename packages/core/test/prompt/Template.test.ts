import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { Schema } from "effect"
import { concat, utf8 } from "../../src/prompt/bytes.ts"
import { outcomes } from "../../src/prompt/Prediction.ts"
import {
  boxed,
  builtin,
  candidates,
  compact,
  escaped,
  parse,
  render,
  Template,
  terse,
  thought
} from "../../src/prompt/Template.ts"
import { arbitraries } from "../../src/testing/index.ts"

/** Outcome and, where there is one, the answer as text: for tables of examples only. */
const read = (template: Template, completion: string) => {
  const prediction = parse(template, utf8(completion))
  return prediction.outcome === "answered" ? Buffer.from(prediction.bytes).toString() : prediction.outcome
}

describe("the boxed template", () => {
  const cases: ReadonlyArray<readonly [completion: string, expected: string]> = [
    ["a thought</think>\\boxed{ para}", " para"],
    ["no end of thought \\boxed{x}", "truncated"],
    ["", "truncated"],
    ["</think", "truncated"],
    ["t</think>the answer is x", "no-box"],
    ["t</think>\\boxed x", "no-box"],
    ["\\boxed{x}</think>", "no-box"],
    ["t</think>\\boxed{x", "malformed"],
    ["t</think>\\boxed{{x}", "malformed"],
    ["t</think>\\boxed{", "malformed"],
    ["t</think>\\boxed{}", "empty"],
    ["t</think>\\boxed{ }", " "],
    ["t</think>\\boxed{\\frac{1}{2}} and on", "\\frac{1}{2}"],
    ["t</think>\\boxed{\\}}", "\\"],
    ["t</think>\\boxed{a}\\boxed{b}", "b"],
    ["t</think>\\boxed{a}\\boxed{b", "malformed"],
    ["t</think>\\boxed{\\boxed{a}}", "a"],
    ["t</think>\\boxed{a}</think>\\boxed{b}", "b"],
    ["t</think>\\boxed{a}</think>", "no-box"],
    ["\\boxed{a}</think>\\boxed{b}", "b"],
    ["t</think>\\boxed{}}", "empty"],
    ["t</think>\\boxed{\\n}", "\\n"],
    ["t</think>\\boxed{\n}", "\n"]
  ]
  test.each(cases)("reads %j as %j", (completion, expected) => expect(read(boxed, completion)).toBe(expected))

  test("gives back any answer whose braces balance, byte for byte, whatever the thought", () => {
    const { balanced } = fc.letrec<{ balanced: Uint8Array }>((tie) => ({
      balanced: fc.oneof(
        { depthSize: "small" },
        fc.uint8Array({ maxLength: 4 }).map((bytes) => bytes.filter((byte) => byte !== 0x7b && byte !== 0x7d)),
        tie("balanced").map((inner) => concat(utf8("{"), inner, utf8("}"))),
        fc.tuple(tie("balanced"), tie("balanced")).map((both) => concat(...both))
      )
    }))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), balanced, (thinking, answer) => {
        fc.pre(answer.length > 0)
        expect(parse(boxed, render(boxed, thinking, answer))).toEqual({ outcome: "answered", bytes: answer })
      })
    )
  })

  test("cannot give back a closing brace, nor an opening one", () => {
    expect(parse(boxed, render(boxed, utf8("t"), utf8("}"))).outcome).toBe("empty")
    expect(parse(boxed, render(boxed, utf8("t"), utf8("{"))).outcome).toBe("malformed")
  })
})

describe("the escaped template", () => {
  const cases: ReadonlyArray<readonly [completion: string, expected: string]> = [
    ["t</think>\\boxed{\\n}", "\n"],
    ["t</think>\\boxed{\n}", "\n"],
    ["t</think>\\boxed{\\\\n}", "\\n"],
    ["t</think>\\boxed{\\}}", "}"],
    ["t</think>\\boxed{\\{}", "{"],
    ["t</think>\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"],
    ["t</think>\\boxed{a\\}", "malformed"],
    ["t</think>\\boxed{\\", "malformed"],
    ["t</think>\\boxed{}", "empty"]
  ]
  test.each(cases)("reads %j as %j", (completion, expected) => expect(read(escaped, completion)).toBe(expected))

  test("gives back any answer that does not end the thought again, byte for byte", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1 }),
      fc
        .array(fc.constantFrom("\\", "{", "}", "n", "\n", "\\boxed{"), { minLength: 1 })
        .map((parts) => utf8(parts.join("")))
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), bytes, (thinking, answer) => {
        expect(parse(escaped, render(escaped, thinking, answer))).toEqual({ outcome: "answered", bytes: answer })
      })
    )
  })

  test("differs from the boxed one in nothing where there is no backslash", () => {
    const text = fc.array(fc.constantFrom("</think>", "{", "}", "a", "\n", "\\boxed{"), { maxLength: 10 })
    fc.assert(
      fc.property(text, (parts) => {
        // The backslash of an opening comes before the box, so only one inside of an answer makes a difference.
        const completion = utf8(parts.join(""))
        const prediction = parse(boxed, completion)
        if (prediction.outcome === "answered" && prediction.bytes.includes(0x5c)) return
        expect(parse(escaped, completion)).toEqual(prediction)
      })
    )
  })
})

test("variants of the boxed form differ in their instruction alone, and are known by their names", () => {
  const { tail: _, name: __, ...form } = boxed
  for (const template of [candidates, terse]) expect(template).toMatchObject(form)
  for (const [name, template] of Object.entries(builtin)) expect(template.name).toBe(name)
  expect(new Set(Object.values(builtin).map(({ tail }) => tail)).size).toBe(Object.keys(builtin).length)
  expect(candidates.tail).toMatch(/several candidates/)
  expect(terse.tail.length).toBeLessThan(boxed.tail.length / 2)
})

describe("the compact template", () => {
  const cases: ReadonlyArray<readonly [completion: string, expected: string]> = [
    ["4 up 2 is 6</think> 6<|end|>", " 6"],
    ["4 up 2 is 6 6<|end|>", "truncated"],
    ["4 up 2</think> 6", "malformed"],
    ["4 up 2</think>", "malformed"],
    ["4 up 2</think><|end|>", "empty"],
    ["</think>x<|end|>y<|end|>", "x"],
    ["a</think>x<|end|></think>y<|end|>", "y"],
    ["<|end|>a</think>x", "malformed"],
    ["a</think>\\boxed{x}<|end|>", "\\boxed{x}"]
  ]
  test.each(cases)("reads %j as %j", (completion, expected) => expect(read(compact, completion)).toBe(expected))

  test("gives back any answer that holds no marker", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 1 }), (thinking, answer) => {
        const expected = { outcome: "answered", bytes: answer }
        expect(parse(compact, render(compact, thinking, answer))).toEqual(expected)
      })
    )
  })
})

describe.each(Object.values(builtin))("every template ($name)", (template) => {
  test("has exactly one outcome for any bytes, and never throws", () => {
    const markers = fc
      .array(fc.constantFrom("</think>", "\\boxed{", "{", "}", "<|end|>", "x", "\\", "</", "\\boxed"), {
        maxLength: 12
      })
      .map((parts) => utf8(parts.join("")))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), markers), (bytes) => {
        expect(outcomes).toContain(parse(template, bytes).outcome)
      }),
      { numRuns: 1000 }
    )
  })

  // An escaped answer is spelled otherwise than it reads.
  if (template.name !== "escaped")
    test("finds its answer in the completion, after the last end of the thought", () => {
      const continuation = { bytes: utf8("ab cd"), boundaries: [2, 5] }
      fc.assert(
        fc.property(arbitraries.completion(template, continuation), (completion) => {
          const prediction = parse(template, completion.bytes)
          if (prediction.outcome !== "answered") return
          const after = Buffer.from(completion.bytes).subarray(thought(template, completion.bytes).length)
          expect(after.includes(Buffer.from(prediction.bytes))).toBe(true)
          expect(prediction.bytes.length).toBeGreaterThan(0)
        })
      )
    })

  test("does not hand out a view of the completion's memory", () => {
    const completion = render(template, utf8("t"), utf8("x"))
    const prediction = parse(template, completion)
    completion.fill(0)
    expect(prediction).toEqual({ outcome: "answered", bytes: utf8("x") })
  })

  test("splits off the thought", () => {
    expect(thought(template, render(template, utf8("a thought"), utf8("x")))).toEqual(utf8("a thought"))
    expect(thought(template, utf8("never ends"))).toEqual(utf8("never ends"))
  })

  test("is data that its schema accepts, and refuses without a tail", () => {
    const decode = Schema.decodeUnknownSync(Template)
    expect(decode(JSON.parse(JSON.stringify(template)))).toEqual(template)
    expect(() => decode({ ...template, tail: "" })).toThrow(/tail/)
  })
})

test("the generator of completions reaches every outcome of both templates", () => {
  const continuation = { bytes: utf8(" the end"), boundaries: [4, 8] }
  for (const template of [boxed, compact]) {
    const generated = fc.sample(arbitraries.completion(template, continuation), 600)
    const seen = new Set(generated.map(({ bytes }) => parse(template, bytes).outcome))
    // The ended form has no marker that opens an answer, so nothing can lack one.
    const possible = outcomes.filter((outcome) => template.answer.form === "braced" || outcome !== "no-box")
    expect([...seen].toSorted()).toEqual(possible.toSorted())
  }
})

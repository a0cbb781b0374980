import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { anyText, golden, made, real } from "./vocabularies.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

describe.each([...made, ...real()])("the vocabulary $name", ({ name, tokenizer, spelled, continued }) => {
  it("gives a few hundred tricky texts the ids of Python's tokenizers", () => {
    expect(golden.length).toBeGreaterThan(200)
    for (const { text, ids } of golden) {
      if (tokenizer.encode(text).join(" ") !== ids[name]) {
        expect.fail(`${JSON.stringify(text)}: ${tokenizer.encode(text).join(" ")}, Python gives ${ids[name]}`)
      }
    }
  })

  it("gives tokens whose bytes are the bytes of the text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        // Around an added token the normal form and the space in front are those of the pieces.
        fc.pre(!/<\/?(tool_call|think)>/.test(text))
        expect(tokenizer.bytesOf(tokenizer.encode(text))).toEqual(utf8(spelled(text)))
      }),
      { numRuns: 500 }
    )
  })

  it("never turns text into a special token", () => {
    const special = tokenizer.specialTokens
    const controls = new Set(special.map(tokenizer.tokenId))
    expect(controls.size).toBeGreaterThan(0)
    const withControls = fc.array(fc.oneof(anyText, fc.constantFrom(...special)), { maxLength: 4 })
    fc.assert(
      fc.property(withControls, (parts) => {
        expect([...tokenizer.encode(parts.join(""))].filter((id) => controls.has(id))).toEqual([])
      }),
      { numRuns: 200 }
    )
  })

  it("gives special tokens where a prompt spells them out, and the text between them", () => {
    const control = tokenizer.specialTokens[tokenizer.specialTokens.length - 1]
    const id = tokenizer.tokenId(control)
    // Behind a special token there is a space in front again, but where the vocabulary puts one in front of the text alone.
    const between = name === "mistral" ? continued : spelled
    fc.assert(
      fc.property(anyText, (text) => {
        fc.pre(!/[<[]/.test(text))
        const ids = tokenizer.encodePrompt(`${control}${text}${control}`, "continues")
        expect([ids[0], ids.at(-1)]).toEqual([id, id])
        expect(tokenizer.bytesOf(ids.subarray(1, -1))).toEqual(utf8(between(text)))
      }),
      { numRuns: 100 }
    )
  })

  it("puts nothing in front of what continues", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        fc.pre(!/[<[]/.test(text))
        expect(tokenizer.bytesOf(tokenizer.encodePrompt(text, "continues"))).toEqual(utf8(continued(text)))
      }),
      { numRuns: 100 }
    )
  })
})

import { expect, test } from "vitest"
import { utf8 } from "../../src/prompt/bytes.ts"
import { showBytes, showHex, showText } from "../../src/testing/show.ts"

test("text shows what a person would not see: bytes that are no character, marks, blanks other than the space", () => {
  expect(showText(Uint8Array.of(0xc3))).toBe('"‹c3›"')
  expect(showText(Uint8Array.of(0xa9, 0x61, 0xf0, 0x9f))).toBe('"‹a9›a‹f0›‹9f›"')
  expect(showText(utf8("é e\u0301"))).toBe('"é e‹U+0301›"')
  expect(showText(utf8("a\u00a0b\u200b\u0000\t"))).toBe('"a‹U+00A0›b‹U+200B›‹U+0000›‹U+0009›"')
  expect(showText(utf8("日本🙂"))).toBe('"日本🙂"')
})

test("a newline and a literal \\n look different, and a backslash stays one", () => {
  expect(showText(utf8("\n"))).toBe('"⏎"')
  expect(showText(utf8("\\n"))).toBe('"\\n"')
  expect(showText(utf8("\\boxed{x}"))).toBe('"\\boxed{x}"')
})

test("bytes are shown as text and hex, the middle of long ones left out", () => {
  expect(showBytes(utf8("é"))).toBe('"é"  c3 a9')
  expect(showHex(new Uint8Array(0))).toBe("(0 bytes)")
  expect(showHex(new Uint8Array(100))).toMatch(/^(00 ){20}… (00 ){16}\(100 bytes\)$/)
})

import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { block } from "../../src/random/Philox.ts"

const hex = (words: ReadonlyArray<number>) => words.map((word) => word.toString(16).padStart(8, "0")).join(" ")
const word = fc.integer({ min: 0, max: 0xffffffff })

describe("Philox4x32-10", () => {
  // Random123, tests/kat_vectors, lines "philox4x32 10".
  it("gives the published test vectors", () => {
    expect(hex(block([0, 0], [0, 0, 0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8")
    const ones = 0xffffffff
    expect(hex(block([ones, ones], [ones, ones, ones, ones]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd")
    expect(hex(block([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]))).toBe(
      "d16cfe09 94fdcceb 5001e420 24126ea1"
    )
  })

  it("agrees with a big-integer rendering of the definition on any key and counter", () => {
    fc.assert(
      fc.property(fc.tuple(word, word), fc.tuple(word, word, word, word), (key, counter) => {
        expect(block(key, counter)).toEqual(definition(key, counter))
      })
    )
  })
})

function definition(key: readonly number[], counter: readonly number[]): number[] {
  const mask = 0xffffffffn
  let [k0, k1] = key.map(BigInt)
  let [c0, c1, c2, c3] = counter.map(BigInt)
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0
    const p1 = 0xcd9e8d57n * c2
    ;[c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask]
    k0 = (k0 + 0x9e3779b9n) & mask
    k1 = (k1 + 0xbb67ae85n) & mask
  }
  return [c0, c1, c2, c3].map(Number)
}

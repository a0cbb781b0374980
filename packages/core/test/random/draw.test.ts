import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as draw from "../../src/random/draw.ts"

const seed = fc.maxSafeInteger()
const path = fc.array(fc.oneof(fc.maxSafeInteger(), fc.string({ unit: "grapheme" })), { maxLength: 4 })
const mean = (values: Iterable<number>) => {
  const list = [...values]
  return list.reduce((a, b) => a + b, 0) / list.length
}

describe("uniforms", () => {
  it("at a position do not depend on how many are drawn or from where", () => {
    fc.assert(
      fc.property(seed, path, fc.nat(40), fc.nat(40), (seed, path, from, count) => {
        const all = draw.uniforms(seed, path, 80)
        expect(draw.uniforms(seed, path, count, from)).toEqual(all.slice(from, from + count))
      })
    )
  })

  it("are multiples of 2^-24 in [0, 1), also where the word is all ones", () => {
    fc.assert(
      fc.property(seed, path, (seed, path) => {
        for (const u of draw.uniforms(seed, path, 64)) {
          expect(u >= 0 && u < 1 && Number.isInteger(u * 2 ** 24)).toBe(true)
        }
      })
    )
    expect(Math.fround((0xffffffff >>> 8) * 2 ** -24)).toBeLessThan(1)
  })

  it("fill [0, 1) evenly: mean, variance and ten bins", () => {
    const n = 100_000
    const values = draw.uniforms(7, ["evenness"], n)
    expect(mean(values)).toBeCloseTo(1 / 2, 2)
    expect(mean(values.map((u) => (u - 0.5) ** 2))).toBeCloseTo(1 / 12, 2)
    const bins = Array.from({ length: 10 }, () => 0)
    for (const u of values) bins[Math.floor(10 * u)]++
    const chiSquared = bins.reduce((sum, count) => sum + (count - n / 10) ** 2 / (n / 10), 0)
    expect(chiSquared).toBeLessThan(27.9) // 99.9 % of chi-squared with 9 degrees of freedom
  })

  it("of different seeds, names, indices and nestings have nothing in common", () => {
    const paths: Array<[number, draw.Path]> = [
      [0, []],
      [0, [0]],
      [0, [0, 0]],
      [0, ["0"]],
      [0, [""]],
      [0, ["", ""]],
      [0, ["a", "b"]],
      [0, ["ab"]],
      [0, [1, "a"]],
      [0, ["a", 1]],
      [0, [2 ** 32]],
      [0, [-1]],
      [1, []],
      [2 ** 32, []],
      [-1, []]
    ]
    const seen = paths.flatMap(([seed, path]) => [...draw.wordsOf(draw.stream(seed, path), 8)])
    expect(new Set(seen).size).toBe(seen.length)
  })

  it("of rollouts are those of the path they stand for", () => {
    const at = { problem: "gsm8k:12@30", rollout: 3 }
    expect(draw.rolloutUniforms(7, at, 9)).toEqual(draw.uniforms(7, ["rollout", "gsm8k:12@30", 3], 9))
    expect(draw.rolloutUniforms(7, { ...at, rollout: 4 }, 9)).not.toEqual(draw.rolloutUniforms(7, at, 9))
  })

  it("refuse a seed or index that is no safe integer", () => {
    expect(() => draw.uniform(1.5)).toThrow("seed must be a safe integer, not 1.5")
    expect(() => draw.uniform(1, Number.NaN)).toThrow("path element must be a safe integer, not NaN")
  })
})

describe("normals", () => {
  it("at a position do not depend on the count", () => {
    fc.assert(
      fc.property(seed, path, fc.nat(30), (seed, path, count) => {
        expect(draw.normals(seed, path, count)).toEqual(draw.normals(seed, path, 31).slice(0, count))
      })
    )
  })

  it("have mean 0, variance 1, kurtosis 3, and 4.55 % beyond two sigmas", () => {
    const values = draw.normals(1, ["weights"], 200_000)
    expect(values.every(Number.isFinite)).toBe(true)
    expect(Math.abs(mean(values))).toBeLessThan(0.01)
    expect(Math.abs(mean(values.map((x) => x * x)) - 1)).toBeLessThan(0.015)
    expect(Math.abs(mean(values.map((x) => x ** 4)) - 3)).toBeLessThan(0.12)
    expect(Math.abs(mean(values.map((x) => (Math.abs(x) > 2 ? 1 : 0))) - 0.0455)).toBeLessThan(0.003)
  })
})

describe("permutation", () => {
  it("holds every index once", () => {
    fc.assert(
      fc.property(seed, path, fc.nat(300), (seed, path, n) => {
        expect([...draw.permutation(seed, path, n)].toSorted((a, b) => a - b)).toEqual([...Array(n).keys()])
      })
    )
  })

  it("of three elements takes each of the six orders about equally often", () => {
    const counts = new Map<string, number>()
    for (let i = 0; i < 6000; i++) {
      const order = draw.permutation(3, ["orders", i], 3).join("")
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    expect(counts.size).toBe(6)
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120)
  })
})

describe("integer", () => {
  it("lies in [0, n) and reaches every value of a small range", () => {
    const seen = new Set(Array.from({ length: 200 }, (_, i) => draw.integer(5, 7, "die", i)))
    expect([...seen].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  it("refuses an empty or inexact range", () => {
    expect(() => draw.integer(5, 0)).toThrow("a range of 1 to 2^21 integers, not 0")
  })
})

describe("fnv1a", () => {
  // Reference values of the FNV authors' test suite (draft-eastlake-fnv).
  it("gives the published values", () => {
    expect(draw.fnv1a("")).toBe(0x811c9dc5)
    expect(draw.fnv1a("a")).toBe(0xe40c292c)
    expect(draw.fnv1a("foobar")).toBe(0xbf9cf968)
  })
})

import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { presetConfig, presets } from "../../src/model/presets.ts"
import type { PresetName } from "../../src/model/presets.ts"
import { parameterCount } from "../../src/model/weights.ts"

const vocabulary = (vocabSize: number) => ({ vocabSize, bos: { _tag: "none" }, eos: { _tag: "one", id: 0 } }) as const
const names = Object.keys(presets) as Array<PresetName> // Object.keys forgets the key type

describe("presets", () => {
  it("are valid models for every vocabulary", () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.integer({ min: 1, max: 200_000 }), (name, size) =>
        Result.isSuccess(presetConfig(name, vocabulary(size)))
      )
    )
  })

  it("micro has the recipe's 0.82 million parameters at a vocabulary of 130 words", () => {
    const config = Result.getOrThrow(presetConfig("micro", vocabulary(130)))
    expect(parameterCount(config)).toBe(130 * 128 + 4 * (4 * 128 * 128 + 3 * 128 * 352 + 2 * 128) + 128)
    expect(parameterCount(config) / 1e6).toBeCloseTo(0.82, 2)
  })

  it("answer an unknown name and an impossible vocabulary with one line", () => {
    const line = (name: string, size: number) =>
      Result.getOrThrow(Result.flip(presetConfig(name, vocabulary(size)))).message
    expect(line("huge", 10)).toBe("huge: is no preset; there are nano, micro, small")
    expect(line("toString", 10)).toBe("toString: is no preset; there are nano, micro, small")
    expect(line("micro", 0)).toBe("preset micro: vocabSize must be a positive whole number, not 0")
  })
})

import { join } from "node:path"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { padTokenizer } from "../../src/data/padTokenizer.ts"
import { tokenizer } from "../../src/data/Synthetic.ts"
import { saveModel } from "../../src/model/ModelDirectory.ts"
import { presetConfig } from "../../src/model/presets.ts"
import { initialWeights } from "../../src/model/weights.ts"
import { loadPolicy } from "../../src/pipeline/policySource.ts"
import { temporaryDirectory } from "../temporary.ts"

const { vocabSize } = tokenizer
const padded = padTokenizer(tokenizer, vocabSize + 7)

describe("a tokenizer whose model has a padded embedding", () => {
  it("reads rows without a token as nothing, and all others as before", () => {
    const ids = fc.array(fc.nat(vocabSize + 6), { maxLength: 12 })
    fc.assert(
      fc.property(ids, (ids) => {
        const tokens = ids.filter((id) => id < vocabSize)
        expect(padded.bytesOf(ids)).toEqual(tokenizer.bytesOf(tokens))
        expect(padded.text(ids)).toBe(tokenizer.text(tokens))
        expect(ids.map((id) => padded.bytes(id).length)).toEqual(
          ids.map((id) => (id < vocabSize ? tokenizer.bytes(id).length : 0))
        )
      })
    )
  })

  it("knows no row behind the embedding", () => {
    expect(() => padded.bytes(vocabSize + 7)).toThrow(RangeError)
    expect(() => padded.bytesOf([0, vocabSize + 7])).toThrow(RangeError)
    expect(() => padded.text([-1])).toThrow(RangeError)
  })

  it("is what a policy is loaded with", async () => {
    const none = { _tag: "none" } as const
    const config = Result.getOrThrow(presetConfig("nano", { vocabSize: vocabSize + 7, bos: none, eos: none }))
    const files = [...tokenizer.files].map(([name, text]) => [name, new TextEncoder().encode(text)] as const)
    const directory = join(temporaryDirectory(), "model")
    const model = { config, weights: initialWeights(config, 1), tokenizerFiles: Object.fromEntries(files) }
    const policy = saveModel(directory, model).pipe(Effect.andThen(loadPolicy({ model: directory })))
    const loaded = await Effect.runPromise(policy)
    expect(loaded.tokenizer.vocabSize).toBe(vocabSize)
    expect(loaded.tokenizer.bytesOf([vocabSize, vocabSize + 6])).toEqual(new Uint8Array(0))
  })
})

import { join } from "node:path"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { padTokenizer } from "../../src/data/padTokenizer.ts"
import { tokenizer } from "../../src/data/Synthetic.ts"
import { load } from "../../src/data/Tokenizer.ts"
import { saveModel } from "../../src/model/ModelDirectory.ts"
import { presetConfig } from "../../src/model/presets.ts"
import { checkVocabulary, initialWeights } from "../../src/model/weights.ts"
import { loadPolicy } from "../../src/pipeline/policySource.ts"
import { temporaryDirectory } from "../temporary.ts"
import { shared } from "./shared.ts"

const { vocabSize } = tokenizer
const padded = padTokenizer(tokenizer, vocabSize + 7)

describe("a tokenizer whose model has a padded embedding", () => {
  it("spells rows without a token as what no text is, and all others as before", () => {
    const ids = fc.array(fc.nat(vocabSize + 6), { maxLength: 12 })
    fc.assert(
      fc.property(ids, (ids) => {
        const texts = ids.map((id) => (id < vocabSize ? tokenizer.text([id]) : `<unassigned ${id}>`))
        expect(padded.text(ids)).toBe(texts.join(""))
        expect(Buffer.from(padded.bytesOf(ids)).toString()).toBe(texts.join(""))
        expect(ids.map((id) => Buffer.from(padded.bytes(id)).toString())).toEqual(texts)
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
    expect(loaded.tokenizer.text([vocabSize, vocabSize + 6])).toBe(
      `<unassigned ${vocabSize}><unassigned ${vocabSize + 6}>`
    )
  })

  const qwen = shared("models/tokenizers/qwen2_5")
  it.skipIf(qwen.missing)("fits the embedding of Qwen2.5, but no smaller one", async () => {
    const loaded = await Effect.runPromise(load(qwen.path))
    expect(loaded.vocabSize).toBe(151_665)
    const none = { _tag: "none" } as const
    const config = (rows: number) => Result.getOrThrow(presetConfig("nano", { vocabSize: rows, bos: none, eos: none }))
    expect(Result.isSuccess(checkVocabulary(config(151_936), loaded.vocabSize))).toBe(true)
    // The added tokens, from 151,643 on, need their rows too.
    expect(Result.isFailure(checkVocabulary(config(151_643), loaded.vocabSize))).toBe(true)
    const all = padTokenizer(loaded, 151_936)
    expect(all.text([151_664, 151_665, 151_935])).toBe("<|file_sep|><unassigned 151665><unassigned 151935>")
    expect(() => all.bytes(151_936)).toThrow(RangeError)
  })
})

import { Effect, Result } from "effect"
import { initialWeights, presetConfig, saveModel, Synthetic } from "../../packages/core/src/index.ts"

/** Saves a model of random weights with the tokenizer of the generated corpus; a run of it takes milliseconds. */
export const saveTinyModel = (directory: string, seed = 1): Promise<void> => {
  const { vocabSize, files } = Synthetic.tokenizer
  const vocabulary = { vocabSize, bos: { _tag: "one", id: 1 }, eos: { _tag: "one", id: 2 } } as const
  const config = Result.getOrThrow(presetConfig("nano", vocabulary))
  const encode = (text: string) => new TextEncoder().encode(text)
  const tokenizerFiles = Object.fromEntries([...files].map(([name, text]) => [name, encode(text)]))
  return Effect.runPromise(saveModel(directory, { config, weights: initialWeights(config, seed), tokenizerFiles }))
}

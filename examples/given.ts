/**
 * The model and the text of the examples: paths from the command line, or, without any, small stand-ins that run anywhere
 * (a random model of 40,000 parameters and the generated corpus), written to runs/stand-ins once.
 *
 *   npx node examples/03-pipeline.ts [MODEL_DIRECTORY CORPUS.jsonl]
 */
import { existsSync, writeFileSync } from "node:fs"
import { initialWeights, presetConfig, saveModel, Synthetic } from "@foretoken/core"
import { Effect } from "effect"

const standIns = Effect.gen(function* () {
  const [directory, text] = ["runs/stand-ins/model", "runs/stand-ins/dials.jsonl"]
  if (existsSync(text)) return [directory, text]
  const { files, vocabSize } = Synthetic.tokenizer
  const config = yield* Effect.fromResult(
    presetConfig("nano", { vocabSize, bos: { _tag: "one", id: 1 }, eos: { _tag: "one", id: 2 } })
  )
  const tokenizerFiles = Object.fromEntries([...files].map(([name, json]) => [name, new TextEncoder().encode(json)]))
  yield* saveModel(directory, { config, weights: initialWeights(config, 0), tokenizerFiles })
  const documents = Array.from({ length: 64 }, (_, index) => Synthetic.document({ seed: 0, split: "train", index }))
  writeFileSync(text, documents.map((document) => JSON.stringify({ answer: document.text }) + "\n").join(""))
  return [directory, text]
})

const paths = process.argv.slice(2)
export const [model, corpus] = paths.length === 2 ? paths : await Effect.runPromise(standIns)

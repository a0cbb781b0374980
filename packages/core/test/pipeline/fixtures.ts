import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Result } from "effect"
import * as Corpus from "../../src/data/Corpus.ts"
import { tokenizer } from "../../src/data/Synthetic.ts"
import { llamaFeatures, makeModelConfig } from "../../src/model/ModelConfig.ts"
import { initialWeights } from "../../src/model/weights.ts"
import * as Optimizer from "../../src/pipeline/Optimizer.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import type { LoadedModel } from "../../src/pipeline/policySource.ts"
import * as ReplayBuffer from "../../src/pipeline/ReplayBuffer.ts"
import * as Sampler from "../../src/pipeline/Sampler.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import { compact } from "../../src/prompt/Template.ts"
import * as Reward from "../../src/reward/Reward.ts"
import { Reference } from "../../src/tensor/Reference.ts"

/** A model that the float64 reference runs in milliseconds: one layer, d 16. */
export const policy: LoadedModel = (() => {
  const config = Result.getOrThrow(
    makeModelConfig({
      ...llamaFeatures,
      vocabSize: tokenizer.vocabSize,
      hiddenSize: 16,
      intermediateSize: 24,
      layers: 1,
      heads: 2,
      kvHeads: 1,
      headDim: 8,
      tieWordEmbeddings: true,
      maxPositions: 128,
      bos: { _tag: "one", id: tokenizer.bos ?? 0 },
      eos: { _tag: "one", id: tokenizer.eos ?? 0 }
    })
  )
  return { stored: { config, weights: initialWeights(config, 1), tokenizerFiles: {} }, tokenizer }
})()

/** A model from random weights never answers, so this reward looks at what it does write: the share of even tokens. */
const even = Reward.pure("even", ({ rollout: { completion } }) => {
  const { tokens } = completion
  return tokens.filter((id) => id % 2 === 0).length / tokens.length
})

export const dials = Corpus.generated({ seed: 3, split: "train", count: 12 })

const problems = dials.pipe(
  Corpus.nextToken({ minEntropy: 0.5, minimumContext: 8, positionsPerDocument: 2, maxTokens: 24 })
)

/** A whole pipeline of small parts; some of them replaced. */
export const pipelineOf = (given: Partial<Pipeline.PipelineOptions> = {}): Pipeline.Pipeline =>
  Pipeline.make({
    policy,
    problems,
    template: compact,
    sampler: Sampler.make({ groupSize: 3, temperature: 1, maxTokens: 6 }),
    verifier: Verifier.make(even),
    buffer: ReplayBuffer.make(),
    optimizer: Optimizer.make({ learningRate: 0.01 }),
    batch: { documentsPerStep: 4, documentsPerUnit: 1, shuffleBuffer: 8 },
    ...given
  })

export const run = (
  pipeline: Pipeline.Pipeline,
  options: Pick<Pipeline.RunOptions, "run"> & Partial<Pipeline.RunOptions>
) => Pipeline.run(pipeline, { steps: 2, seed: 7, ...options }).pipe(Effect.provide(Reference.layer))

export const resume = (pipeline: Pipeline.Pipeline, options: Pipeline.ResumeOptions) =>
  Pipeline.resume(pipeline, options).pipe(Effect.provide(Reference.layer))

export const jsonLines = (directory: string, file: string): ReadonlyArray<Record<string, unknown>> =>
  readFileSync(join(directory, file), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

export const isThere = existsSync

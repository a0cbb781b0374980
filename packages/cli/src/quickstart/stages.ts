import {
  Advantage,
  Corpus,
  Difficulty,
  draw,
  initialWeights,
  Loss,
  Optimizer,
  Pipeline,
  presetConfig,
  adamwRule,
  ReplayBuffer,
  Reward,
  Sampler,
  Supervised,
  Synthetic,
  Template,
  Verifier
} from "@foretoken/core"
import type { Backend, LoadedModel, MicroBatch, RunContext, KeptWeights } from "@foretoken/core"
import { Effect } from "effect"
import { join } from "node:path"
import { horizon } from "./heldOut.ts"
import type { Recipe } from "./recipe.ts"

/** What every stage of the story is given. */
export interface Story {
  readonly recipe: Recipe
  /** The directory that all runs of the story lie in. */
  readonly directory: string
  readonly context: RunContext
  readonly onStep: (stage: string) => (report: Pipeline.StepReport) => Effect.Effect<void>
}

const { tokenizer } = Synthetic

/** The model before it has seen anything. */
export const fromScratch = ({ preset, seed }: Recipe) =>
  Effect.map(
    Effect.fromResult(
      presetConfig(preset, {
        vocabSize: tokenizer.vocabSize,
        bos: { _tag: "none" },
        eos: tokenizer.eos === undefined ? { _tag: "none" } : { _tag: "one", id: tokenizer.eos }
      })
    ),
    (config): LoadedModel => ({
      stored: { config, weights: initialWeights(config, seed), tokenizerFiles: tokenizerFiles() },
      tokenizer
    })
  )

export const withWeights = (policy: LoadedModel, weights: KeptWeights): LoadedModel => ({
  ...policy,
  stored: { ...policy.stored, weights }
})

const tokenizerFiles = () =>
  Object.fromEntries([...tokenizer.files].map(([name, text]) => [name, new TextEncoder().encode(text)]))

/** Steps of the story take milliseconds, and a checkpoint as long as some of them. */
const checkpointEvery = 200

/** Text of the pre-training: plain documents among worked ones. */
const mixedText = ({ seed, pretraining }: Recipe, index: number) =>
  Synthetic.document({ seed, split: "train", index, worked: pretraining.worked })

/** Next-token training on documents from number `from` on, none of them twice. */
export const nextTokenTraining = (
  { recipe, directory, context, onStep }: Story,
  given: Pick<Supervised.SupervisedOptions<never>, "policy" | "optimizer" | "steps"> & {
    readonly name: string
    readonly from: number
    readonly stopAfterSeconds: number
  }
) => {
  const { documents } = recipe.pretraining
  const batches = (step: number) =>
    Effect.sync(() => [
      Supervised.nextTokenBatch(
        context.frame,
        Array.from({ length: documents }, (_, i) => mixedText(recipe, given.from + step * documents + i))
      )
    ])
  return Supervised.run({
    ...given,
    objective: "ntp",
    batches,
    seed: recipe.seed,
    run: join(directory, given.name),
    checkpointEvery,
    about: { corpus: "dials", split: "train", firstDocument: given.from },
    onStep: onStep(given.name)
  })
}

/** Training on the same few worked examples, over and over, in a new order each round. */
export const formatWarmUp = (
  { recipe, directory, context, onStep }: Story,
  given: Pick<Supervised.SupervisedOptions<never>, "policy" | "optimizer" | "steps"> & {
    readonly name: string
    readonly stopAfterSeconds: number
  }
) => {
  const { documents, documentsPerStep, noise, trunkWeight } = recipe.warmUp
  const examples = Array.from({ length: documents }, (_, i) => warmUpExample(recipe.seed, warmUpFrom + i, noise))
  const batches = (step: number): Effect.Effect<ReadonlyArray<MicroBatch>> =>
    Effect.sync(() => {
      const perRound = Math.floor(documents / documentsPerStep)
      const order = draw.permutation(recipe.seed, ["warm-up", Math.floor(step / perRound)], documents)
      const first = (step % perRound) * documentsPerStep
      const chosen = Array.from(order.subarray(first, first + documentsPerStep), (i) => examples[i])
      return [Supervised.supervisedBatch(context.frame, chosen, trunkWeight)]
    })
  return Supervised.run({
    ...given,
    objective: "sft",
    batches,
    seed: recipe.seed,
    run: join(directory, given.name),
    checkpointEvery,
    about: { corpus: "dials", split: "train", documents, noise, trunkWeight },
    onStep: onStep(given.name)
  })
}

/** Warm-up documents lie far behind those of pre-training, so no text is seen by both. */
const warmUpFrom = 10_000_000

const marker = (content: string): number => {
  const id = tokenizer.tokenId(content)
  if (id === undefined) throw new Error(`the generated corpus has no token ${content}`)
  return id
}

const warmUpExample = (seed: number, index: number, noise: number): Supervised.Example => {
  const document = Synthetic.document({ seed, split: "train", index })
  const completions = Synthetic.traces(document, { seed, noise }).map(({ anchor, thought, answer }) => ({
    anchor,
    completion: Int32Array.from([...thought, marker("</think>"), answer, marker("<|end|>")])
  }))
  return { document, completions }
}

/** Reinforcement pre-training on plain text: no worked examples, no answers but the text itself. */
export const reinforcement = (
  story: Story,
  policy: LoadedModel,
  validate: Pipeline.Validation["measure"]
): Effect.Effect<Pipeline.RunResult, Pipeline.PipelineError, Backend> => {
  const { recipe, directory, onStep } = story
  const { rpt } = recipe
  const corpus = Corpus.generated({ seed: recipe.seed + 1, split: "train", count: rpt.steps * rpt.documents * 2 })
  const pipeline = Pipeline.make({
    policy,
    template: Template.compact,
    problems: corpus.pipe(
      Corpus.nextToken({
        minEntropy: rpt.minEntropy,
        positionsPerDocument: rpt.positions,
        minimumContext: 8,
        horizon,
        entropy: Difficulty.full
      })
    ),
    sampler: Sampler.make({ groupSize: rpt.groupSize, temperature: rpt.temperature, maxTokens: rpt.maxTokens }),
    verifier: Verifier.make(Reward.prefixMatch),
    buffer: ReplayBuffer.make(),
    optimizer: Optimizer.make({
      advantage: Advantage.grpo,
      loss: Loss.clipped({ low: 0.2, high: 0.28 }),
      rule: adamwRule({ learningRate: rpt.learningRate, beta2: 0.95 }),
      schedule: rpt.schedule,
      documentsPerMicroBatch: rpt.documents
    }),
    batch: { documentsPerStep: rpt.documents, documentsPerUnit: rpt.documents },
    validation: [{ metric: "computed", every: rpt.validateEvery, measure: validate }]
  })
  return Pipeline.run(pipeline, {
    steps: rpt.steps,
    seed: recipe.seed,
    run: join(directory, "rpt"),
    onStep: onStep("rpt")
  })
}

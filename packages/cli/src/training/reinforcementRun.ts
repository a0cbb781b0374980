import { Advantage, Corpus, Loss, Optimizer, Pipeline, ReplayBuffer, Sampler } from "@foretoken/core"
import { DynamicSampling, fitMemory, gigabytes, makeRunContext, planMemory, Schedule, Verifier } from "@foretoken/core"
import type { Backend, MemoryPlan, Winnability } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { Trained, Training } from "../actions/train.ts"
import { InputError, UsageError } from "../failure.ts"
import { findCertificate, openReward } from "../reward.ts"
import { templateOf } from "./template.ts"
import { encodeCommand } from "./TrainFlags.ts"
import type { TrainFlags } from "./TrainFlags.ts"
import { corpusWinnability, winnabilityLine } from "./winnability.ts"

/** Reinforcement pre-training on plain text. */
export const reinforcementRun = (
  training: Training,
  onBegin: Effect.Effect<void>
): Effect.Effect<Trained, Error, Backend> =>
  Effect.gen(function* () {
    const { input, directory, onStep } = training
    const { pipeline, winnability, memory } = yield* reinforcementPipeline(training)
    const result = yield* Pipeline.run(pipeline, {
      memory,
      steps: input.steps,
      seed: input.seed,
      samplers: input.samplers,
      timeLimit: `${input.timeLimit} seconds`,
      run: directory,
      command: encodeCommand(input),
      onBegin,
      onStep,
      ...(input.checkpointEvery === undefined ? {} : { checkpointEvery: input.checkpointEvery })
    })
    return { ...trainedOf(result, winnability), memory }
  }).pipe(Effect.scoped)

/** The same run, begun before: `samplers` is how many sample now. */
export const resumedRun = (
  training: Training,
  { samplers, elsewhere }: { readonly samplers: number | undefined; readonly elsewhere: boolean }
): Effect.Effect<Trained & { readonly from: number; readonly hadEnded: boolean }, Error, Backend> =>
  Effect.gen(function* () {
    const { directory: run, onStep, say } = training
    // What the corpus is like was said when it began.
    const { pipeline, winnability } = yield* reinforcementPipeline({ ...training, say: () => Effect.void })
    const timeLimit = `${training.input.timeLimit} seconds` as const
    const chosen = samplers === undefined ? { timeLimit } : { timeLimit, samplers }
    const result = yield* Pipeline.resume(pipeline, { run, elsewhere, onStep, say, ...chosen })
    return { ...trainedOf(result, winnability), from: result.from, hadEnded: result.hadEnded }
  }).pipe(Effect.scoped)

const trainedOf = (result: Pipeline.RunResult, winnability: Winnability): Trained => ({
  steps: result.steps,
  ended: result.ended._tag === "Done" ? "done" : result.ended.reason,
  weightsHash: result.weightsHash,
  checkpoint: result.last.directory,
  best: result.best.directory,
  metrics: result.metrics,
  winnability
})

const reinforcementPipeline = (training: Training) =>
  Effect.gen(function* () {
    const { input, corpus, policy, say } = training
    const problems = yield* problemSettings(input)
    const chosen = yield* openReward(input.reward)
    const found = yield* findCertificate(chosen, input.certificate)
    const documentsPerStep = input.documents ?? 4
    const template = yield* templateOf(input.template, policy.tokenizer)
    const asked = corpus.pipe(Corpus.nextToken(problems))
    const winnability = yield* corpusWinnability(asked, policy.tokenizer, template)
    yield* say(winnabilityLine(winnability, template.name))
    const pipeline = Pipeline.make({
      policy,
      problems: asked,
      template,
      sampler: Sampler.make({
        groupSize: input.group,
        temperature: input.temperature,
        maxTokens: input.maxTokens
      }),
      verifier: Verifier.make(chosen.reward, { sourceHash: chosen.sourceHash, certificate: found?.certificate }),
      buffer: ReplayBuffer.make({ capacity: Math.max(512, documentsPerStep * input.positions * (input.lag + 1)) }),
      optimizer: Optimizer.make({
        advantage: Advantage[input.advantage],
        loss: input.lag === 0 ? Loss.clipped({ low: input.low, high: input.high }) : Loss.truncated({ cap: input.cap }),
        learningRate: input.lr ?? 1e-6,
        schedule: Schedule.constant(1, input.warmup),
        frozen: input.freeze,
        remember: input.recompute ? "layers" : "all"
      }),
      lag: input.lag,
      batch: { documentsPerStep, documentsPerUnit: Math.min(2, documentsPerStep) },
      dynamicSampling:
        input.dynamicFrom === undefined
          ? DynamicSampling.off
          : { fromStep: input.dynamicFrom, maxAttempts: 8, minGroups: 1 }
    })
    const { pipeline: fitting, memory } = yield* fitted(pipeline, training)
    return { pipeline: fitting, winnability, memory }
  })

/** The pipeline, cut to fit where there is a budget, and what it takes: that is said, part by part. */
const fitted = Effect.fnUntraced(function* (whole: Pipeline.Pipeline, { input, policy, say }: Training) {
  const { seed, samplers, memory: budget } = input
  const { stored, tokenizer } = policy
  const context = makeRunContext({ seed, config: stored.config, tokenizer, template: whole.template })
  const pipeline = budget === undefined ? whole : yield* Effect.fromResult(fitMemory(whole, context, samplers, budget))
  const memory = planMemory(pipeline, context, samplers)
  for (const line of memoryLines(pipeline, memory)) yield* say(line)
  return { pipeline, memory }
})

const memoryLines = ({ optimizer, batch }: Pipeline.Pipeline, { parts, total }: MemoryPlan): ReadonlyArray<string> => {
  const { documentsPerMicroBatch, remember } = optimizer.settings
  const again = remember === "layers" ? ", layers computed again" : ""
  return [
    `memory: at most ${gigabytes(total)}; ${documentsPerMicroBatch} documents a micro-batch${again}, ${batch.documentsPerUnit} a sampler's unit`,
    ...parts.map(({ what, bytes }) => `  ${gigabytes(bytes).padStart(9)}  ${what}`)
  ]
}

const problemSettings = Effect.fnUntraced(function* (input: TrainFlags) {
  const { minEntropy, quantile } = input
  if (minEntropy !== undefined && quantile !== undefined) {
    return yield* new UsageError({ message: "--min-entropy and --quantile exclude each other; give one of them" })
  }
  const filter = quantile === undefined ? { minEntropy: minEntropy ?? 1 } : { quantile }
  const rest = {
    minimumContext: input.minContext,
    positionsPerDocument: input.positions,
    maxTokens: input.context
  }
  if (input.context <= input.minContext) {
    const message = `--context is ${input.context}; more than --min-context (${input.minContext}) was expected`
    return yield* new InputError({ message })
  }
  return { ...filter, ...rest }
})

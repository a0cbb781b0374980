import { Advantage, Corpus, Loss, Optimizer, Pipeline, ReplayBuffer, Sampler } from "@foretoken/core"
import { DynamicSampling, Schedule, Verifier } from "@foretoken/core"
import type { Backend } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { Input, Trained, Training } from "../actions/train.ts"
import { InputError, UsageError } from "../failure.ts"
import { findCertificate, openReward } from "../reward.ts"
import { templateOf } from "./template.ts"
import { corpusWinnability, winnabilityLine } from "./winnability.ts"

/** Reinforcement pre-training on plain text. */
export const reinforcementRun = ({
  input,
  corpus,
  policy,
  directory,
  onStep,
  say
}: Training): Effect.Effect<Trained, Error, Backend> =>
  Effect.gen(function* () {
    const problems = yield* problemSettings(input)
    const chosen = yield* openReward(input.reward)
    const found = yield* findCertificate(chosen, input.certificate)
    const documentsPerStep = input.documents ?? 4
    const template = templateOf(input.template, policy.tokenizer)
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
      buffer: ReplayBuffer.make({ capacity: Math.max(512, documentsPerStep * input.positions), maxPolicyAge: 0 }),
      optimizer: Optimizer.make({
        advantage: Advantage[input.advantage],
        loss: Loss.clipped({ low: input.low, high: input.high }),
        learningRate: input.lr ?? 1e-6,
        schedule: Schedule.constant(1, input.warmup)
      }),
      batch: { documentsPerStep, documentsPerUnit: Math.min(2, documentsPerStep) },
      dynamicSampling:
        input.dynamicFrom === undefined
          ? DynamicSampling.off
          : { fromStep: input.dynamicFrom, maxAttempts: 8, minGroups: 1 }
    })
    const { ended, last, best, ...result } = yield* Pipeline.run(pipeline, {
      steps: input.steps,
      seed: input.seed,
      samplers: input.samplers,
      run: directory,
      onStep,
      ...(input.checkpointEvery === undefined ? {} : { checkpointEvery: input.checkpointEvery })
    })
    return {
      steps: result.steps,
      ended: ended._tag === "Done" ? "done" : ended.reason,
      weightsHash: result.weightsHash,
      checkpoint: last.directory,
      best: best.directory,
      metrics: result.metrics,
      winnability
    }
  }).pipe(Effect.scoped)

const problemSettings = Effect.fnUntraced(function* (input: Input) {
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

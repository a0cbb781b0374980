/** Training on given text: next-token prediction, and completions written by someone else (format warm-up, fine-tuning). */
import { Duration, Effect, Option } from "effect"
import type { Schema, Scope } from "effect"
import type { Remember } from "../autodiff/Past.ts"
import { trainableWeights } from "../model/trainable.ts"
import type { KeptWeights, WeightsError } from "../model/weights.ts"
import { hashWeights } from "../model/weights.ts"
import type { MicroBatch } from "../optim/gradientProgram.ts"
import { freshState } from "../optim/Learner.ts"
import type { OptimizerSettings } from "../optim/settings.ts"
import { latestGood, listCheckpoints, setDamagedAside } from "../run/Checkpoint.ts"
import type { CheckpointEntry } from "../run/Checkpoint.ts"
import { describeMachine } from "../run/Manifest.ts"
import { readMetrics } from "../run/Metrics.ts"
import type { RunError } from "../run/Run.ts"
import { checkpointsDirectory, createRun, holdRun, metricsPath, openRun } from "../run/Run.ts"
import { sweep } from "../storage/atomic.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { Backend } from "../tensor/Backend.ts"
import { goesOnAs } from "./goesOnAs.ts"
import { asJson, hashOf } from "./manifestOf.ts"
import type { StepReport } from "./Pipeline.ts"
import { trained } from "./policySource.ts"
import type { LoadedModel } from "./policySource.ts"
import { standardCheckpointEvery, standardTimeLimit } from "./RunSettings.ts"
import { makeSupervisedLearner } from "./SupervisedLearner.ts"
import type { Learned, LearnerFailure } from "./SupervisedLearner.ts"
import { learnedOf, takeSupervisedSteps } from "./supervisedSteps.ts"

export { nextTokenBatch, supervisedBatch } from "./supervisedBatches.ts"
export type { Example } from "./supervisedBatches.ts"

export interface SupervisedOptions<E> {
  readonly objective: "ntp" | "sft"
  readonly policy: LoadedModel
  readonly optimizer: OptimizerSettings
  /** What gradients remember of the forward pass; "layers" takes less memory and more time. Default: all. */
  readonly remember?: Remember
  /** Weights that are left alone, by patterns of their names (`trainableWeights`). Default: none. */
  readonly frozen?: ReadonlyArray<string>
  /** What update `step` (from 0) learns from: it follows from `step` alone. Asked in order, from the step on that a run begins with. */
  readonly batches: (step: number) => Effect.Effect<ReadonlyArray<MicroBatch>, E>
  readonly steps: number
  /** Stops before `steps` once so much time has passed: for controls matched by time. Default: never. */
  readonly stopAfterSeconds?: number
  readonly seed: number
  /** The directory of the run. It must not exist. */
  readonly run: string
  /** A checkpoint every so many steps, beside the last: what a death costs at most, of the process or of a thread. Default 20. */
  readonly checkpointEvery?: number
  /** What an update may take before the learner counts as stuck and is restarted. Default: an hour. */
  readonly timeLimit?: Duration.Input
  /** What else the manifest should say, plain data: corpus, template, shares of noise. */
  readonly about: Readonly<Record<string, unknown>>
  /** How whoever began the training makes its parts again, for the manifest: `foretoken train` puts its flags here. */
  readonly command?: typeof Schema.Json.Type
  /** Runs once the directory of the run is there. */
  readonly onBegin?: Effect.Effect<void>
  readonly onStep?: (report: StepReport) => Effect.Effect<void>
}

/** The options of the run, made again; when it ends cannot be for the clock to say. */
export interface SupervisedResumeOptions<E> extends Omit<
  SupervisedOptions<E>,
  "command" | "stopAfterSeconds" | "onBegin"
> {
  /** As in `Pipeline.ResumeOptions`. */
  readonly elsewhere?: boolean
  /** Called with a line for each thing that was found damaged and how it was dealt with. */
  readonly say?: (line: string) => Effect.Effect<void>
}

export interface SupervisedResult {
  readonly run: string
  readonly steps: number
  readonly seconds: number
  readonly weights: KeptWeights
  readonly weightsHash: string
  readonly last: CheckpointEntry
  readonly metrics: Readonly<Record<string, number>>
}

export interface SupervisedResumeResult extends SupervisedResult {
  /** The step that it went on from, or that it had ended with before. */
  readonly from: number
  readonly hadEnded: boolean
}

export type SupervisedError = LearnerFailure | RunError | StorageError | WeightsError

/**
 * Trains, and leaves checkpoints. A thread that dies on the way is replaced, and what it has not left in a checkpoint made again,
 * bit for bit. Interrupted, it finishes the update that it is at and leaves a checkpoint: `resume` goes on from there.
 */
export const run = <E>(given: SupervisedOptions<E>): Effect.Effect<SupervisedResult, E | SupervisedError, Backend> =>
  Effect.scoped(
    Effect.gen(function* (): Effect.fn.Return<SupervisedResult, E | SupervisedError, Backend | Scope.Scope> {
      const options = yield* forTraining(given)
      const { command, onBegin = Effect.void } = options
      const from = beginning(options.policy)
      const manifest = yield* manifestOf(options)
      // What cannot start leaves nothing on disk.
      const learner = yield* learnerFrom(options, from)
      const made = yield* createRun(options.run, command === undefined ? manifest : { ...manifest, command })
      yield* holdRun(made)
      yield* onBegin
      return yield* takeSupervisedSteps(options, made, learner, from.step)
    })
  )

/**
 * Goes on with a training that ended before it was done, from its newest checkpoint that is whole, to the weights that it would
 * have come to, bit for bit. One that is done already is left as it is.
 */
export const resume = <E>(
  given: SupervisedResumeOptions<E>
): Effect.Effect<SupervisedResumeResult, E | SupervisedError, Backend> =>
  Effect.scoped(
    Effect.gen(function* (): Effect.fn.Return<SupervisedResumeResult, E | SupervisedError, Backend | Scope.Scope> {
      const options = yield* forTraining(given)
      const { policy, steps, elsewhere = false, say = () => Effect.void } = options
      const made = yield* openRun(options.run)
      yield* Effect.fromResult(goesOnAs(made, yield* manifestOf(options), freeSettings, elsewhere))
      yield* holdRun(made)
      yield* sweep(checkpointsDirectory(made))
      const { found, said } = yield* latestGood(made, steps, policy.stored)
      yield* Effect.forEach(said, say, { discard: true })
      const from = Option.isNone(found) ? beginning(policy) : yield* learnedOf(found.value)
      const last = (yield* listCheckpoints(made)).find(({ step }) => step === from.step)
      if (from.step === steps && last !== undefined) {
        const rows = yield* Effect.orElseSucceed(readMetrics(metricsPath(made)), () => [])
        const metrics = rows.findLast(({ step }) => step === steps)?.values ?? {}
        const { weights } = from
        const { weightsHash } = last
        const ended = {
          run: made.directory,
          steps,
          seconds: metrics["seconds"] ?? 0,
          weights,
          weightsHash,
          last,
          metrics
        }
        return { ...ended, from: steps, hadEnded: true }
      }
      const learner = yield* learnerFrom(options, from)
      // Checkpoints that are damaged would be in the way of new ones.
      yield* setDamagedAside(made, from.step)
      const result = yield* takeSupervisedSteps(options, made, learner, from.step)
      return { ...result, from: from.step, hadEnded: false }
    })
  )

/** Where the same content lies never changes results. */
const freeSettings: ReadonlyArray<string> = ["model.lora.base", "corpus.path", "corpus.name"]

/** What is trained is in f32; what is left alone stays as it is kept. */
const forTraining = <O extends Pick<SupervisedOptions<never>, "policy" | "frozen">>(options: O) =>
  Effect.map(Effect.fromResult(trained(options.policy.stored, options.frozen ?? [])), (stored) => ({
    ...options,
    policy: { ...options.policy, stored }
  }))

const beginning = ({ stored: { weights } }: LoadedModel): Learned => ({ step: 0, weights, optimizer: freshState })

const learnerFrom = Effect.fnUntraced(function* (
  {
    policy,
    optimizer,
    frozen = [],
    remember = "all",
    timeLimit = standardTimeLimit
  }: Pick<SupervisedOptions<never>, "policy" | "optimizer" | "frozen" | "remember" | "timeLimit">,
  from: Learned
) {
  const { config } = policy.stored
  const trainable = yield* Effect.fromResult(trainableWeights(config, frozen))
  const limit = Duration.fromInputUnsafe(timeLimit)
  return yield* makeSupervisedLearner({ config, trainable, optimizer, remember, from, timeLimit: limit })
})

const manifestOf = Effect.fnUntraced(function* <E>({
  objective,
  optimizer,
  frozen = [],
  steps,
  checkpointEvery = standardCheckpointEvery,
  seed,
  about,
  policy,
  ...options
}: Omit<SupervisedOptions<E>, "command">) {
  const { config, weights } = policy.stored
  const { stopAfterSeconds } = options
  return {
    startedAt: new Date().toISOString(),
    seed,
    backend: (yield* Backend).name,
    config: asJson({
      objective,
      steps,
      checkpointEvery,
      optimizer,
      frozen,
      model: config,
      weights: yield* hashWeights(weights),
      tokenizer: hashOf(policy.tokenizer),
      ...about,
      ...(stopAfterSeconds === undefined || stopAfterSeconds === Infinity ? {} : { stopAfterSeconds })
    }),
    versions: { foretoken: "0.1.0", node: process.versions.node },
    machine: describeMachine()
  }
})

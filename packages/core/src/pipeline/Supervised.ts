/** Training on given text: next-token prediction, and completions written by someone else (format warm-up, fine-tuning). */
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import type { Remember } from "../autodiff/Past.ts"
import { trainableWeights } from "../model/trainable.ts"
import type { KeptWeights, WeightsError } from "../model/weights.ts"
import { weightsHash } from "../model/weights.ts"
import type { MicroBatch } from "../optim/gradientProgram.ts"
import { freshState, makeLearner } from "../optim/Learner.ts"
import type { OptimizerSettings } from "../optim/settings.ts"
import type { CheckpointEntry } from "../run/Checkpoint.ts"
import { saveCheckpoint } from "../run/Checkpoint.ts"
import { describeMachine } from "../run/Manifest.ts"
import { openMetrics } from "../run/Metrics.ts"
import type { RunError } from "../run/Run.ts"
import { createRun, metricsPath } from "../run/Run.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { Backend } from "../tensor/Backend.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import type { StepReport } from "./Pipeline.ts"
import { trained } from "./policySource.ts"
import type { LoadedModel } from "./policySource.ts"
import type { StageError } from "./Stage.ts"

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
  /** What update `step` (from 0) learns from. */
  readonly batches: (step: number) => Effect.Effect<ReadonlyArray<MicroBatch>, E>
  readonly steps: number
  /** Stops before `steps` once so much time has passed: for controls matched by time. Default: never. */
  readonly stopAfterSeconds?: number
  readonly seed: number
  /** The directory of the run. It must not exist. */
  readonly run: string
  /** What else the manifest should say: corpus, template, shares of noise. */
  readonly about: Readonly<Record<string, string | number>>
  readonly onStep?: (report: StepReport) => Effect.Effect<void>
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

export type SupervisedError = StageError | RunError | StorageError | WeightsError

export const run = <E>(options: SupervisedOptions<E>): Effect.Effect<SupervisedResult, E | SupervisedError, Backend> =>
  Effect.scoped(runScoped(options))

const runScoped = Effect.fnUntraced(function* <E>(
  options: SupervisedOptions<E>
): Effect.fn.Return<SupervisedResult, E | SupervisedError, Backend | Scope.Scope> {
  const {
    policy,
    optimizer,
    frozen = [],
    remember = "all",
    steps,
    stopAfterSeconds = Infinity,
    batches,
    onStep
  } = options
  const stored = yield* Effect.fromResult(trained(policy.stored, frozen))
  const { config, weights: initial } = stored
  const trainable = yield* Effect.fromResult(trainableWeights(config, frozen))
  const { name, thread } = yield* Backend
  const { backend } = yield* thread({ name: "learner" })
  const programs = yield* makeBoundedProgramCache(programsKept.training)
  const learner = yield* Effect.provideService(
    makeLearner({ config, weights: initial, trainable, optimizer, state: freshState, programs, remember }),
    Backend,
    backend
  )
  const made = yield* createRun(options.run, manifestOf(options, name))
  const log = yield* openMetrics(metricsPath(made))

  const began = yield* Clock.currentTimeMillis
  const secondsSince = Effect.map(Clock.currentTimeMillis, (now) => (now - began) / 1000)
  let metrics: Readonly<Record<string, number>> = {}
  let step = 0
  while (step < steps && (yield* secondsSince) < stopAfterSeconds) {
    const { objective, skipped, ...update } = yield* learner.update(yield* batches(step))
    step++
    metrics = { ...update, ...objective, "update/skipped": skipped, seconds: yield* secondsSince }
    yield* log.append({ step, values: metrics })
    if (onStep !== undefined) yield* onStep({ step, steps, metrics })
  }

  const seconds = yield* secondsSince
  const weights = yield* learner.snapshot
  const { moments, updates } = yield* learner.state
  const last = yield* saveCheckpoint(made, {
    step,
    model: { ...stored, weights },
    weightsHash: weightsHash(weights),
    optimizer: moments,
    validation: { _tag: "unmeasured" },
    progress: { step, updates },
    others: {}
  })
  return { run: options.run, steps: step, seconds, weights, weightsHash: last.weightsHash, last, metrics }
})

const manifestOf = <E>(
  { objective, optimizer, frozen = [], steps, seed, about, policy }: SupervisedOptions<E>,
  backend: string
) => ({
  startedAt: new Date().toISOString(),
  seed,
  backend,
  // Settings are plain data; through JSON they are typed as such.
  config: JSON.parse(JSON.stringify({ objective, steps, optimizer, frozen, model: policy.stored.config, ...about })),
  versions: { foretoken: "0.1.0", node: process.versions.node },
  machine: describeMachine()
})

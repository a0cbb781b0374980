import { Effect } from "effect"
import { hashWeights } from "../model/weights.ts"
import { freshState } from "../optim/Learner.ts"
import type { LearnerState } from "../optim/Learner.ts"
import { PolicyVersion } from "../rl/Rollout.ts"
import { openLedger } from "../run/Ledger.ts"
import type { Ledger, RecordOf } from "../run/Ledger.ts"
import { openMetrics } from "../run/Metrics.ts"
import type { CheckpointEntry } from "../run/Checkpoint.ts"
import { createRun, holdRun, ledgerDirectory, manifestHash, metricsPath, samplesPath } from "../run/Run.ts"
import type { Run } from "../run/Run.ts"
import { openSamples } from "../run/Samples.ts"
import { spawnActors, spawnProblemSearch } from "./actors.ts"
import { checkRun } from "./checkRun.ts"
import { makeCheckpointKeeper } from "./checkpointKeeper.ts"
import { fitProblems } from "./fitProblems.ts"
import { manifestOf } from "./manifestOf.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { SetAside } from "./poison.ts"
import { loadTrained } from "./policySource.ts"
import type { LoadedModel } from "./policySource.ts"
import { beginning } from "./ProblemSource.ts"
import type { Progress } from "./Progress.ts"
import { policyOf } from "./Progress.ts"
import { makeRunContext } from "./RunContext.ts"
import type { RunOptions, RunSettings } from "./RunSettings.ts"
import { settingsOf } from "./RunSettings.ts"
import { WatchTimerLag } from "./timerLag.ts"

/** What a run is brought to life from: its beginning, or a checkpoint. */
export interface StartingPoint extends Progress {
  readonly optimizer: LearnerState
}

/**
 * Brings a pipeline to life: model and problems, actors, run directory. The directory comes last: what cannot start
 * leaves nothing on disk.
 */
export const startRun = Effect.fnUntraced(function* (pipeline: Pipeline, options: RunOptions) {
  const settings = settingsOf(options)
  yield* Effect.fromResult(checkRun(pipeline, settings))
  const loaded = yield* loadTrained(pipeline.policy, pipeline.optimizer.settings.frozen)
  const start = yield* firstPoint(loaded)
  const manifest = yield* manifestOf(pipeline, settings, loaded, start.recent[0].version, options.command)
  const parts = yield* bringToLife(pipeline, settings, loaded, start)

  const { memory, onBegin = Effect.void } = options
  const run = yield* createRun(options.run, memory === undefined ? manifest : { ...manifest, memory })
  yield* holdRun(run)
  yield* onBegin
  const ledger = yield* openLedger(ledgerDirectory(run))
  yield* ledger.append([beginningRecord(run, pipeline, start)])
  return yield* openFiles({ ...parts, run, ledger, kept: [], knownPoison: new Map() })
})

/** A run that has made no step. */
export const firstPoint = Effect.fnUntraced(function* ({ stored: { weights } }: LoadedModel) {
  const policy = { version: PolicyVersion.make(yield* hashWeights(weights)), updates: 0, weights }
  const sampling = { problems: beginning, baseline: policy, asideInARow: 0 }
  return { step: 0, recent: [policy], sampling, metrics: {}, optimizer: freshState } satisfies StartingPoint
})

export const beginningRecord = (run: Run, { sampler }: Pipeline, { recent }: StartingPoint): RecordOf<"begun"> => ({
  _tag: "begun",
  manifest: manifestHash(run),
  policy: recent[0].version,
  groupSize: sampler.settings.groupSize
})

/** The parts of a run that are not on disk. */
export const bringToLife = Effect.fnUntraced(function* (
  pipeline: Pipeline,
  settings: RunSettings,
  loaded: LoadedModel,
  start: StartingPoint
) {
  const { stored, tokenizer } = loaded
  const { seed, timeLimit } = settings
  const context = makeRunContext({ seed, config: stored.config, tokenizer, template: pipeline.template })
  const problems = yield* fitProblems(pipeline.problems, context, pipeline.sampler.settings.maxTokens)
  const learned = { step: start.step, weights: policyOf(start).weights, optimizer: start.optimizer }
  const actors = yield* spawnActors(pipeline, context, learned, settings)
  const asked = { context, problems, model: stored, ...pipeline.batch, from: start.sampling.problems }
  const search = yield* spawnProblemSearch(actors.supervisor, asked, timeLimit)
  return { pipeline, settings, model: stored, context, actors: { ...actors, search }, start }
})

interface OnDisk {
  readonly run: Run
  readonly ledger: Ledger
  /** Checkpoints that there are. */
  readonly kept: ReadonlyArray<CheckpointEntry>
  /** Units that an update has gone without: made again, it goes without them again, and nobody dies of them. */
  readonly knownPoison: ReadonlyMap<number, SetAside>
}

/** And those that are: rows of steps after the starting point are made again. */
export const openFiles = Effect.fnUntraced(function* (parts: Effect.Success<ReturnType<typeof bringToLife>> & OnDisk) {
  const { actors, ledger, run, settings, start } = parts
  let before = ledger.seconds()
  const metrics = yield* openMetrics(metricsPath(run), start.step)
  const samples = yield* openSamples(samplesPath(run), start.step)
  const syncRows = Effect.andThen(metrics.sync, samples.sync)
  return {
    ...parts,
    directory: run.directory,
    metrics,
    samples,
    timerLag: yield* yield* WatchTimerLag,
    /** Seconds that the ledger has taken since this was last asked. */
    ledgerSeconds: () => {
      const since = ledger.seconds() - before
      before += since
      return since
    },
    checkpoints: makeCheckpointKeeper({ ...parts, store: actors.store, settings, from: start.step, syncRows })
  }
})

/** A run that is under way. */
export type Running = Effect.Success<ReturnType<typeof startRun>>

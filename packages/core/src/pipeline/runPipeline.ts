import { Cause, Duration, Effect } from "effect"
import type { Scope } from "effect"
import type { ActorCrashed, ActorStopped } from "../actor/index.ts"
import type { SupervisorFailure } from "../actor/Supervisor.ts"
import type { SettingsError } from "../data/NextToken.ts"
import type { TokenizerError } from "../data/Tokenizer.ts"
import type { ModelError } from "../model/ModelDirectory.ts"
import type { WeightsError } from "../model/weights.ts"
import type { NoSignal } from "../rl/dynamicSampling.ts"
import type { CheckpointEntry } from "../run/Checkpoint.ts"
import type { LedgerError, RecordOf } from "../run/Ledger.ts"
import type { RunError } from "../run/Run.ts"
import { reasonOf } from "../storage/StorageError.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { Backend } from "../tensor/Backend.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { TooManySetAside } from "./poison.ts"
import type { NoPolicy } from "./PolicyStore.ts"
import type { ProblemError } from "./ProblemSource.ts"
import type { Progress } from "./Progress.ts"
import { policyOf } from "./Progress.ts"
import type { BufferFull, GroupsLost } from "./ReplayBuffer.ts"
import { openResumed } from "./resumeRun.ts"
import type { ResumeOptions } from "./resumeRun.ts"
import type { RunOptions } from "./RunSettings.ts"
import { sampleAhead } from "./sampleAhead.ts"
import type { NotSynced } from "./Sampler.ts"
import type { StageError } from "./Stage.ts"
import { startRun } from "./startRun.ts"
import type { Running } from "./startRun.ts"
import { takeStep } from "./takeStep.ts"

export interface StepReport {
  /** Steps done, counting from 1. */
  readonly step: number
  readonly steps: number
  readonly metrics: Readonly<Record<string, number>>
}

export interface RunResult {
  readonly run: string
  readonly steps: number
  readonly weightsHash: string
  readonly ended: { readonly _tag: "Done" } | { readonly _tag: "NoSignal"; readonly reason: string }
  readonly last: CheckpointEntry
  /** By validation; the last one where nothing is measured. */
  readonly best: CheckpointEntry
  /** Of the last step. */
  readonly metrics: Readonly<Record<string, number>>
}

export interface ResumeResult extends RunResult {
  /** The step that it went on from, or that it had ended with before. */
  readonly from: number
  readonly hadEnded: boolean
}

export type PipelineError =
  | SettingsError
  | ModelError
  | WeightsError
  | TokenizerError
  | ProblemError
  | StageError
  | RunError
  | StorageError
  | LedgerError
  | NoPolicy
  | NotSynced
  | BufferFull
  | GroupsLost
  | TooManySetAside
  | ActorCrashed
  | ActorStopped
  | SupervisorFailure

/**
 * Runs a pipeline: each step samples groups, verifies them, and updates the policy by them. Ends after `steps`, or before that
 * where dynamic sampling finds no signal any more. Whatever fails, fails typed. Interrupted, it abandons what is being
 * sampled, finishes an update that it is at, and leaves a checkpoint: `resume` goes on from there.
 */
export const run = (pipeline: Pipeline, options: RunOptions): Effect.Effect<RunResult, PipelineError, Backend> =>
  Effect.scoped(
    Effect.gen(function* (): Effect.fn.Return<RunResult, PipelineError, Backend | Scope.Scope> {
      return yield* proceed(yield* startRun(pipeline, options), options.onStep)
    })
  )

/**
 * Goes on with a run that ended before it was done, whatever ended it, from its last durable point: to the weights that it
 * would have come to, bit for bit. The pipeline has to be the one of the run; what differs is said. One that is done
 * already is left as it is.
 */
export const resume = (
  pipeline: Pipeline,
  options: ResumeOptions
): Effect.Effect<ResumeResult, PipelineError, Backend> =>
  Effect.scoped(
    Effect.gen(function* (): Effect.fn.Return<ResumeResult, PipelineError, Backend | Scope.Scope> {
      const opened = yield* openResumed(pipeline, options)
      if (opened._tag === "Ended") return { ...opened.result, from: opened.result.steps, hadEnded: true }
      const { running } = opened
      const from = running.start.step
      return { ...(yield* proceed(running, options.onStep)), from, hadEnded: false }
    })
  )

const proceed = Effect.fnUntraced(function* (
  running: Running,
  onStep: (report: StepReport) => Effect.Effect<void> = () => Effect.void
): Effect.fn.Return<RunResult, PipelineError, Backend | Scope.Scope> {
  const { actors, ledger, checkpoints, settings } = running
  const { steps } = settings
  let progress: Progress = running.start

  const allSteps = Effect.gen(function* () {
    const ahead = yield* sampleAhead(running, progress)
    while (progress.step < steps) {
      const [waited, sampled] = yield* Effect.timed(ahead.next)
      const step = takeStep(running, ahead, progress, sampled, Duration.toSeconds(waited))
      // What was learned is known to have been learned, whoever interrupts meanwhile.
      yield* Effect.uninterruptible(Effect.map(step, (next) => (progress = next)))
      yield* onStep({ step: progress.step, steps, metrics: progress.metrics })
    }
    return { _tag: "Done" } as const
  }).pipe(Effect.scoped)
  const noSignal = ({ message }: NoSignal) => Effect.succeed({ _tag: "NoSignal", reason: message } as const)
  const end = (how: RecordOf<"ended">["how"], reason: string) =>
    ledger
      .append([{ _tag: "ended", step: progress.step, policy: policyOf(progress).version, how, reason }])
      .pipe(Effect.andThen(ledger.sync))
  const finished = Effect.gen(function* () {
    const ended = yield* actors.supervisor.link(Effect.catchTag(allSteps, "NoSignal", noSignal))
    const { last, best } = yield* checkpoints.finish(progress)
    yield* ended._tag === "Done" ? end("done", "all steps were made") : end("no-signal", ended.reason)
    const { step, metrics } = progress
    return { run: running.directory, steps: step, weightsHash: policyOf(progress).version, ended, last, best, metrics }
  })
  // The disk that failed may be the run's: then it ends without a word, as after any death.
  return yield* Effect.onError(finished, (cause) =>
    Effect.andThen(
      Effect.ignoreCause(checkpoints.rescue(progress)),
      Cause.hasInterruptsOnly(cause)
        ? Effect.ignore(end("stopped", "it was interrupted"))
        : Effect.ignore(end("failed", reasonOf(Cause.squash(cause))))
    )
  )
})

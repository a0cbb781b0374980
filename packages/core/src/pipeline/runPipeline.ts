import { Cause, Effect } from "effect"
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
import type { Retention } from "../run/Retention.ts"
import type { RunError } from "../run/Run.ts"
import { reasonOf } from "../storage/StorageError.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { Backend } from "../tensor/Backend.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { NoPolicy } from "./PolicyStore.ts"
import type { ProblemError } from "./ProblemSource.ts"
import type { BufferFull } from "./ReplayBuffer.ts"
import type { NotSynced } from "./Sampler.ts"
import type { StageError } from "./Stage.ts"
import { startRun } from "./startRun.ts"
import type { Progress } from "./takeStep.ts"
import { takeStep } from "./takeStep.ts"

export interface RunOptions {
  readonly steps: number
  readonly seed: number
  /** The directory of the run. It must not exist. */
  readonly run: string
  /** Actors that sample side by side: speed, never results. Default 1. */
  readonly samplers?: number
  /** A checkpoint every so many steps, beside the last and the best. Default: none. */
  readonly checkpointEvery?: number
  /** Which checkpoints stay while newer ones come. Default: the newest two, and the best. */
  readonly keep?: Retention
  /** Groups a step whose rollouts go to samples.jsonl. Default 4. */
  readonly groupsShown?: number
  /** Called after every step, to show how the run goes. */
  readonly onStep?: (report: StepReport) => Effect.Effect<void>
}

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
  | ActorCrashed
  | ActorStopped
  | SupervisorFailure

/**
 * Runs a pipeline: each step samples groups with the current policy, verifies them, and updates the policy by them. Ends
 * after `steps`, or before that where dynamic sampling finds no signal any more. Whatever fails, fails typed.
 */
export const run = (pipeline: Pipeline, options: RunOptions): Effect.Effect<RunResult, PipelineError, Backend> =>
  Effect.scoped(runScoped(pipeline, options))

const runScoped = Effect.fnUntraced(function* (
  pipeline: Pipeline,
  options: RunOptions
): Effect.fn.Return<RunResult, PipelineError, Backend | Scope.Scope> {
  const { steps, groupsShown = 4, onStep = () => Effect.void } = options
  const running = yield* startRun(pipeline, options)
  const { actors, ledger, checkpoints } = running
  const { supervisor, store } = actors
  let progress: Progress = { step: 0, policy: (yield* store.ask("Latest")).policy, metrics: {} }

  const allSteps = Effect.gen(function* () {
    while (progress.step < steps) {
      progress = yield* takeStep(running, progress, { steps, groupsShown })
      yield* onStep({ step: progress.step, steps, metrics: progress.metrics })
    }
    return { _tag: "Done" } as const
  })
  const noSignal = ({ message }: NoSignal) => Effect.succeed({ _tag: "NoSignal", reason: message } as const)
  const end = (how: RecordOf<"ended">["how"], reason: string) => {
    const { step, policy } = progress
    return Effect.andThen(ledger.append([{ _tag: "ended", step, policy: policy.version, how, reason }]), ledger.sync)
  }
  const finished = Effect.gen(function* () {
    const ended = yield* supervisor.link(Effect.catchTag(allSteps, "NoSignal", noSignal))
    const { step, policy, metrics } = progress
    const { last, best } = yield* checkpoints.finish(step)
    yield* ended._tag === "Done" ? end("done", "all steps were made") : end("no-signal", ended.reason)
    return { run: options.run, steps: step, weightsHash: policy.version, ended, last, best, metrics }
  })
  // The disk that failed may be the ledger's: then it ends without saying so, as after any death.
  return yield* Effect.onError(finished, (cause) =>
    Effect.ignore(end(Cause.hasInterruptsOnly(cause) ? "stopped" : "failed", reasonOf(Cause.squash(cause))))
  )
})

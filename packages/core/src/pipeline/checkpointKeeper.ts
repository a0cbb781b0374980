import { Clock, Effect } from "effect"
import type { ActorCrashed, ActorRef, ActorStopped } from "../actor/index.ts"
import type { KeptModel } from "../model/ModelDirectory.ts"
import type { WeightsError } from "../model/weights.ts"
import type { CheckpointEntry, Validation } from "../run/Checkpoint.ts"
import { best as bestOf, saveCheckpoint } from "../run/Checkpoint.ts"
import type { Ledger, LedgerError } from "../run/Ledger.ts"
import { prune } from "../run/Retention.ts"
import type { Run } from "../run/Run.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { NoPolicy, PolicyStoreProtocol } from "./PolicyStore.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { Progress } from "./Progress.ts"
import { policyOf } from "./Progress.ts"
import type { RunSettings } from "./RunSettings.ts"
import { savedProgress } from "./savedProgress.ts"

type KeepError = NoPolicy | ActorCrashed | ActorStopped | WeightsError | StorageError | LedgerError

/** The checkpoints that a run ends with. */
export interface Kept {
  readonly last: CheckpointEntry
  /** By validation, the earliest of equals; the last one where nothing was measured. */
  readonly best: CheckpointEntry
}

/** Decides which steps leave a checkpoint. */
export interface CheckpointKeeper {
  /** After a step: saves the published policy if it is the best so far, or if a checkpoint is due. */
  readonly after: (progress: Progress, validation: Validation) => Effect.Effect<void, KeepError>
  /** After the last step: its checkpoint is saved if it was not. */
  readonly finish: (progress: Progress) => Effect.Effect<Kept, KeepError>
  /** Before its time: saves what there is if a checkpoint would not have it and the store has nothing newer. */
  readonly rescue: (progress: Progress) => Effect.Effect<void, KeepError>
  /** Seconds that checkpoints have taken since this was last asked. */
  readonly seconds: () => number
}

export interface CheckpointKeeperOptions {
  readonly run: Run
  readonly pipeline: Pipeline
  readonly model: KeptModel
  readonly store: ActorRef<PolicyStoreProtocol>
  readonly ledger: Ledger
  readonly settings: Pick<RunSettings, "steps" | "checkpointEvery" | "keep">
  /** The step that the run begins or goes on with: it needs no checkpoint, there is one or it can be made anew. */
  readonly from: number
  /** Checkpoints from before, by ascending step. */
  readonly kept: ReadonlyArray<CheckpointEntry>
  /** Makes durable what else is written about the steps so far: a run that goes on from a checkpoint does not write it again. */
  readonly syncRows: Effect.Effect<void, StorageError>
}

export const makeCheckpointKeeper = ({
  run,
  pipeline,
  model,
  store,
  ledger,
  settings,
  from,
  kept,
  syncRows
}: CheckpointKeeperOptions): CheckpointKeeper => {
  const { checkpointEvery, keep, steps } = settings
  let last = kept.find(({ step }) => step === from)
  let best = bestOf(kept)
  let latest: { readonly step: number; readonly validation: Validation } | undefined
  let durable = from
  let seconds = 0

  const save = Effect.fnUntraced(function* (progress: Progress, validation: Validation) {
    const began = yield* Clock.currentTimeMillis
    const { step } = progress
    yield* syncRows
    const { policy, optimizer } = yield* store.ask("Latest")
    const saved = yield* savedProgress(pipeline, progress, optimizer.updates, steps)
    const { files, ...entry } = yield* saveCheckpoint(run, {
      step,
      model: { ...model, weights: policy.weights },
      weightsHash: policy.version,
      optimizer: optimizer.moments,
      validation,
      ...saved
    })
    yield* ledger.append([{ _tag: "checkpoint", step, name: String(step), policy: policy.version, files }])
    yield* ledger.sync
    yield* prune(run, keep)
    last = entry
    durable = step
    seconds += ((yield* Clock.currentTimeMillis) - began) / 1000
    return entry
  })
  const validationOf = (step: number) => (latest?.step === step ? latest.validation : unmeasured)

  return {
    after: Effect.fnUntraced(function* (progress, validation) {
      const { step } = progress
      latest = { step, validation }
      const isBest = isBetter(validation, best?.validation)
      if (!isBest && step % checkpointEvery !== 0) return
      const saved = yield* save(progress, validation)
      if (isBest) best = saved
    }),
    finish: Effect.fnUntraced(function* (progress) {
      const { step } = progress
      const saved = last?.step === step ? last : yield* save(progress, validationOf(step))
      return { last: saved, best: best ?? saved }
    }),
    rescue: Effect.fnUntraced(function* (progress) {
      if (progress.step <= durable) return
      const { policy } = yield* store.ask("Latest")
      if (policy.version === policyOf(progress).version) yield* save(progress, validationOf(progress.step))
    }),
    seconds: () => {
      const since = seconds
      seconds = 0
      return since
    }
  }
}

const unmeasured: Validation = { _tag: "unmeasured" }

const isBetter = (validation: Validation, best: Validation | undefined): boolean =>
  validation._tag === "measured" && (best?._tag !== "measured" || validation.value > best.value)

import { Clock, Effect } from "effect"
import type { ActorCrashed, ActorRef, ActorStopped } from "../actor/index.ts"
import type { StoredModel } from "../model/ModelDirectory.ts"
import type { WeightsError } from "../model/weights.ts"
import type { CheckpointEntry, Validation } from "../run/Checkpoint.ts"
import { saveCheckpoint } from "../run/Checkpoint.ts"
import type { Ledger, LedgerError } from "../run/Ledger.ts"
import { prune } from "../run/Retention.ts"
import type { Retention } from "../run/Retention.ts"
import type { Run } from "../run/Run.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { NoPolicy, PolicyStoreProtocol } from "./PolicyStore.ts"

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
  readonly after: (step: number, validation: Validation) => Effect.Effect<void, KeepError>
  /** After the last step: its checkpoint is saved if it was not. */
  readonly finish: (step: number) => Effect.Effect<Kept, KeepError>
  /** Seconds that checkpoints have taken since this was last asked. */
  readonly seconds: () => number
}

export interface CheckpointKeeperOptions {
  readonly run: Run
  readonly model: StoredModel
  readonly store: ActorRef<PolicyStoreProtocol>
  readonly ledger: Ledger
  /** A checkpoint every so many steps; Infinity: only the last and the best. */
  readonly every: number
  readonly keep: Retention
}

export const makeCheckpointKeeper = ({
  run,
  model,
  store,
  ledger,
  every,
  keep
}: CheckpointKeeperOptions): CheckpointKeeper => {
  let last: CheckpointEntry | undefined
  let best: CheckpointEntry | undefined
  let latest: { readonly step: number; readonly validation: Validation } | undefined

  let seconds = 0

  const save = Effect.fnUntraced(function* (step: number, validation: Validation) {
    const began = yield* Clock.currentTimeMillis
    const { policy, optimizer } = yield* store.ask("Latest")
    const { files, ...saved } = yield* saveCheckpoint(run, {
      step,
      model: { ...model, weights: policy.weights },
      weightsHash: policy.version,
      optimizer: optimizer.moments,
      validation,
      progress: { step, updates: optimizer.updates }
    })
    yield* ledger.append([{ _tag: "checkpoint", step, name: String(step), policy: policy.version, files }])
    yield* ledger.sync
    yield* prune(run, keep)
    last = saved
    seconds += ((yield* Clock.currentTimeMillis) - began) / 1000
    return saved
  })

  return {
    after: Effect.fnUntraced(function* (step, validation) {
      latest = { step, validation }
      const isBest = isBetter(validation, best?.validation)
      if (!isBest && step % every !== 0) return
      const saved = yield* save(step, validation)
      if (isBest) best = saved
    }),
    finish: Effect.fnUntraced(function* (step) {
      const validation = latest?.step === step ? latest.validation : unmeasured
      const saved = last?.step === step ? last : yield* save(step, validation)
      return { last: saved, best: best ?? saved }
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

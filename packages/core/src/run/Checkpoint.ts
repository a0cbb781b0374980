/**
 * checkpoints/<step>/ is a model directory (loads in transformers) with two more files: optimizer.safetensors, the moments
 * by name, and state.json, which says where the run stood and the hash of the weights. It appears whole or not at all.
 */
import { readFile, readdir } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Option, Schema } from "effect"
import { loadModel, writeModelFiles } from "../model/ModelDirectory.ts"
import type { ModelError, StoredModel } from "../model/ModelDirectory.ts"
import { readSafetensors, writeSafetensors } from "../model/safetensors.ts"
import { weightsHash } from "../model/weights.ts"
import type { Weights, WeightsError } from "../model/weights.ts"
import { writeDirectoryAtomically, writeTextAtomically } from "../storage/atomic.ts"
import { StorageError } from "../storage/StorageError.ts"
import { RunError, checkpointsDirectory } from "./Run.ts"
import type { Run } from "./Run.ts"

/** How good the policy was on held-out text when the checkpoint was made, if that was measured. Higher is better. */
export const Validation = Schema.Union([
  Schema.TaggedStruct("unmeasured", {}),
  Schema.TaggedStruct("measured", { metric: Schema.String, value: Schema.Finite })
])
export type Validation = typeof Validation.Type

const State = Schema.Struct({
  step: Schema.Int,
  weightsHash: Schema.String,
  validation: Validation,
  /** Whatever else the algorithm has to know to go on. */
  progress: Schema.Json
})

export interface Checkpoint {
  /** Updates made so far. */
  readonly step: number
  readonly model: StoredModel
  /** The optimizer's moments, named by the optimizer, for example "adamw.m/model.norm.weight". */
  readonly optimizer: Weights
  readonly validation: Validation
  readonly progress: typeof Schema.Json.Type
}

/** A checkpoint as it is listed: not loaded. */
export interface CheckpointEntry {
  readonly step: number
  readonly directory: string
  readonly validation: Validation
  readonly weightsHash: string
}

/** Writes checkpoints/<step>. One that is there already is not overwritten. */
export const saveCheckpoint = (
  run: Run,
  { step, model, optimizer, validation, progress }: Checkpoint
): Effect.Effect<CheckpointEntry, WeightsError | StorageError> =>
  Effect.gen(function* () {
    const directory = join(checkpointsDirectory(run), String(step))
    const hash = weightsHash(model.weights)
    yield* writeDirectoryAtomically(directory, (temporary) =>
      Effect.gen(function* () {
        yield* writeModelFiles(temporary, model)
        yield* writeSafetensors(join(temporary, "optimizer.safetensors"), optimizer)
        const state = Schema.encodeSync(State)({ step, weightsHash: hash, validation, progress })
        yield* writeTextAtomically(join(temporary, "state.json"), `${JSON.stringify(state, undefined, 2)}\n`)
      })
    )
    return { step, directory, validation, weightsHash: hash }
  })

/** Reads a checkpoint back, bit for bit; weights that do not have the hash they were saved with are refused. */
export const loadCheckpoint = (directory: string): Effect.Effect<Checkpoint, ModelError | RunError> =>
  Effect.gen(function* () {
    const { step, weightsHash: hash, validation, progress } = yield* readState(directory)
    const model = yield* loadModel(directory)
    if (weightsHash(model.weights) !== hash) {
      return yield* new RunError({
        path: directory,
        reason: "the weights are not those that were saved: their hash differs"
      })
    }
    const optimizer = yield* readSafetensors(join(directory, "optimizer.safetensors"))
    return { step, model, optimizer, validation, progress }
  })

/** The checkpoints of a run by step. Half-written ones do not exist, so all of them are whole. */
export const listCheckpoints = (run: Run): Effect.Effect<ReadonlyArray<CheckpointEntry>, RunError | StorageError> =>
  Effect.gen(function* () {
    const directory = checkpointsDirectory(run)
    const names = yield* Effect.tryPromise({
      try: () => readdir(directory),
      catch: (cause) => StorageError.of(directory, cause)
    })
    const steps = names.filter((name) => /^\d+$/.test(name)).toSorted((a, b) => Number(a) - Number(b))
    return yield* Effect.forEach(steps, (name) => {
      const directory = join(checkpointsDirectory(run), name)
      return Effect.map(readState(directory), ({ step, validation, weightsHash }) => ({
        step,
        directory,
        validation,
        weightsHash
      }))
    })
  })

/** The checkpoint of the highest step. */
export const latestCheckpoint = (run: Run): Effect.Effect<Option.Option<CheckpointEntry>, RunError | StorageError> =>
  Effect.map(listCheckpoints(run), (entries) => Option.fromUndefinedOr(entries.at(-1)))

/** The checkpoint with the highest validation value, the earliest of equals; none where nothing was measured. */
export const bestCheckpoint = (run: Run): Effect.Effect<Option.Option<CheckpointEntry>, RunError | StorageError> =>
  Effect.map(listCheckpoints(run), (entries) => {
    const valueOf = ({ validation }: CheckpointEntry) => (validation._tag === "measured" ? validation.value : -Infinity)
    const best = entries.reduce<CheckpointEntry | undefined>(
      (best, entry) => (valueOf(entry) > (best === undefined ? -Infinity : valueOf(best)) ? entry : best),
      undefined
    )
    return Option.fromUndefinedOr(best)
  })

const readState = (directory: string): Effect.Effect<typeof State.Type, RunError | StorageError> => {
  const path = join(directory, "state.json")
  return Effect.tryPromise({ try: () => readFile(path, "utf8"), catch: (cause) => StorageError.of(path, cause) }).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.fromJsonString(State))),
    Effect.catchTag(
      "SchemaError",
      ({ message }) => new RunError({ path, reason: message.replaceAll(/\s*\n\s*/g, " ") })
    )
  )
}

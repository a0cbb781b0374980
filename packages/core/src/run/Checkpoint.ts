/**
 * checkpoints/<step>/ is a model directory (loads in transformers; of a model with adapters: theirs, which loads in PEFT), with
 * README.md as its model card and three more files: optimizer.safetensors, the moments by name; state.json, which says where the
 * run stood and the hash of the weights; and SHA256SUMS, by which all of them are
 * verified when it is loaded. It appears whole or not at all.
 */
import { basename, join } from "node:path"
import { Effect, Option, Result, Schema } from "effect"
import { adaptersOf } from "../model/adapters.ts"
import { loadModel, loadModelOf, writeModelFiles } from "../model/ModelDirectory.ts"
import type { KeptModel, ModelError } from "../model/ModelDirectory.ts"
import { readSafetensors, writeSafetensors } from "../model/safetensors.ts"
import { halvesOf, weightsHash } from "../model/weights.ts"
import type { KeptWeights, Weights, WeightsError } from "../model/weights.ts"
import { Certificate } from "../reward/Certificate.ts"
import { removeDirectoryAtomically, writeDirectoryAtomically, writeTextAtomically } from "../storage/atomic.ts"
import { Disk, readWhole } from "../storage/Disk.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { modelCard } from "./modelCard.ts"
import { verifyChecksums, withChecksums } from "./checksums.ts"
import type { Checksums } from "./checksums.ts"
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
  /** Of the reward that the run learned from, where it has one. */
  certificate: Schema.optionalKey(Certificate),
  /** Whatever else the algorithm has to know to go on. */
  progress: Schema.Json,
  /** Hashes of the other weights that lie in the directory. */
  others: Schema.optionalKey(Schema.Array(Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/))))
})

export interface Checkpoint {
  /** Updates made so far. */
  readonly step: number
  readonly model: KeptModel
  /** `weightsHash(model.weights)`, which whoever has a policy has already. */
  readonly weightsHash: string
  /** The optimizer's moments, named by the optimizer, for example "adamw.m/model.norm.weight". */
  readonly optimizer: Weights
  readonly validation: Validation
  readonly progress: typeof Schema.Json.Type
  /** Other weights that are needed to go on, by their hash: of older policies, of a baseline. */
  readonly others: Readonly<Record<string, KeptWeights>>
}

/** A checkpoint as it is listed: not loaded. */
export interface CheckpointEntry {
  readonly step: number
  readonly directory: string
  readonly validation: Validation
  readonly weightsHash: string
}

/** A checkpoint that was just made durable, with the hashes of its files. */
export interface SavedCheckpoint extends CheckpointEntry {
  readonly files: Checksums
}

/** Writes checkpoints/<step>. One that is there already is not overwritten. It is durable once this returns. */
export const saveCheckpoint = (
  run: Run,
  { step, model, weightsHash, optimizer, validation, progress, others }: Checkpoint
): Effect.Effect<SavedCheckpoint, WeightsError | StorageError> =>
  Effect.gen(function* () {
    const directory = join(checkpointsDirectory(run), String(step))
    let files: Checksums = {}
    yield* writeDirectoryAtomically(directory, (temporary) =>
      Effect.gen(function* () {
        const card = modelCard({ manifest: run.manifest, step, model: model.config, weightsHash, validation })
        yield* writeModelFiles(temporary, model, { card })
        yield* writeSafetensors(join(temporary, "optimizer.safetensors"), optimizer)
        for (const [hash, weights] of Object.entries(others)) {
          yield* writeSafetensors(join(temporary, othersName(hash)), own(model, weights))
        }
        const { certificate } = run.manifest
        const certified = certificate === undefined ? {} : { certificate }
        const state = Schema.encodeSync(State)({
          step,
          weightsHash,
          validation,
          ...certified,
          progress,
          others: Object.keys(others)
        })
        yield* writeTextAtomically(join(temporary, "state.json"), `${JSON.stringify(state, undefined, 2)}\n`)
      }).pipe(
        (write) => withChecksums(temporary, write),
        Effect.map((sums) => void (files = sums))
      )
    )
    return { step, directory, validation, weightsHash, files }
  })

/** What a checkpoint of a model keeps of its weights: of one with adapters the base stays where it is. */
const own = ({ config }: KeptModel, weights: KeptWeights): KeptWeights =>
  config.lora === undefined ? weights : adaptersOf(weights)

/**
 * Reads a checkpoint back, bit for bit; one with a file that is not as it was saved is refused. Adapters are put on the model
 * that they name; or `base` is what the run began with (`loadModelOf`).
 */
export const loadCheckpoint = (directory: string, base?: KeptModel): Effect.Effect<Checkpoint, ModelError | RunError> =>
  Effect.gen(function* () {
    yield* verifyChecksums(directory)
    const { step, weightsHash: hash, validation, progress, others: hashes = [] } = yield* readState(directory)
    const model = yield* base === undefined ? loadModel(directory) : loadModelOf(directory, base)
    if (weightsHash(model.weights) !== hash) {
      return yield* new RunError({ path: directory, reason: "the hash of the weights is not the one in state.json" })
    }
    const optimizer = yield* readSafetensors(join(directory, "optimizer.safetensors"))
    const others: Record<string, KeptWeights> = {}
    // What training leaves alone is in memory once.
    const still = model.config.lora === undefined ? halvesOf(model.weights) : model.weights
    for (const other of hashes) {
      const kept = yield* readSafetensors(join(directory, othersName(other)))
      others[other] = model.config.lora === undefined ? { ...kept, ...still } : { ...still, ...kept }
    }
    return { step, model, weightsHash: hash, optimizer, validation, progress, others }
  })

const othersName = (hash: string): string => `weights-${hash}.safetensors`

/** A checkpoint that could be loaded, and what was said of newer ones that could not, a line each. */
export interface GoodCheckpoint {
  readonly found: Option.Option<Checkpoint & { readonly directory: string }>
  readonly said: ReadonlyArray<string>
}

/**
 * The newest checkpoint of at most `through` updates that is whole, bit for bit: a damaged one gives way to the one before.
 * `base` is what the run began with.
 */
export const latestGood = (
  run: Run,
  through: number = Infinity,
  base?: KeptModel
): Effect.Effect<GoodCheckpoint, StorageError> =>
  Effect.gen(function* () {
    const said: Array<string> = []
    const directories = (yield* checkpointNames(run)).filter((name) => Number(name) <= through)
    for (const name of directories.toReversed()) {
      const directory = join(checkpointsDirectory(run), name)
      const loaded = yield* Effect.result(loadCheckpoint(directory, base))
      if (Result.isSuccess(loaded)) return { found: Option.some({ ...loaded.success, directory }), said }
      said.push(`${loaded.failure.message}; the checkpoint of step ${name} is passed over for the one before`)
    }
    return { found: Option.none(), said }
  })

/**
 * Those of more updates than `step`, which were passed over for the one of `step`, get another name: `<step>.damaged`. Of two damaged
 * ones of a step the later stays. Someone may still want what is whole of them, and the next one of that step needs their place.
 */
export const setDamagedAside = (run: Run, step: number): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const directory = checkpointsDirectory(run)
    for (const name of (yield* checkpointNames(run)).filter((name) => Number(name) > step)) {
      const aside = `${name}.damaged`
      if ((yield* disk.list(directory)).includes(aside)) yield* removeDirectoryAtomically(join(directory, aside))
      yield* disk.rename(join(directory, name), join(directory, aside))
    }
    yield* disk.syncDirectory(directory)
  })

const checkpointNames = (run: Run): Effect.Effect<ReadonlyArray<string>, StorageError> =>
  Effect.gen(function* () {
    const names = yield* (yield* Disk).list(checkpointsDirectory(run))
    return names.filter((name) => /^\d+$/.test(name)).toSorted((a, b) => Number(a) - Number(b))
  })

/** The checkpoints of a run by step. Those whose state cannot be read are passed over; `latestGood` names them. */
export const listCheckpoints = (run: Run): Effect.Effect<ReadonlyArray<CheckpointEntry>, StorageError> =>
  Effect.gen(function* () {
    const entries = yield* Effect.forEach(yield* checkpointNames(run), (name) => {
      const directory = join(checkpointsDirectory(run), name)
      return Effect.match(readState(directory), {
        onSuccess: ({ step, validation, weightsHash }) => [{ step, directory, validation, weightsHash }],
        onFailure: () => []
      })
    })
    return entries.flat()
  })

/** The checkpoint of the highest step. */
export const latestCheckpoint = (run: Run): Effect.Effect<Option.Option<CheckpointEntry>, StorageError> =>
  Effect.map(listCheckpoints(run), (entries) => Option.fromUndefinedOr(entries.at(-1)))

/** The checkpoint with the highest validation value, the earliest of equals; none where nothing was measured. */
export const bestCheckpoint = (run: Run): Effect.Effect<Option.Option<CheckpointEntry>, StorageError> =>
  Effect.map(listCheckpoints(run), (entries) => Option.fromUndefinedOr(best(entries)))

/** Of checkpoints by ascending step: the earliest with the highest validation value, if any was measured. */
export const best = (entries: ReadonlyArray<CheckpointEntry>): CheckpointEntry | undefined => {
  const valueOf = ({ validation }: CheckpointEntry) => (validation._tag === "measured" ? validation.value : -Infinity)
  return entries.reduce<CheckpointEntry | undefined>(
    (best, entry) => (valueOf(entry) > (best === undefined ? -Infinity : valueOf(best)) ? entry : best),
    undefined
  )
}

const readState = (directory: string): Effect.Effect<typeof State.Type, RunError | StorageError> =>
  Effect.gen(function* () {
    const path = join(directory, "state.json")
    const text = new TextDecoder().decode(yield* readWhole(path, 2 ** 26))
    const state = yield* Effect.mapError(
      Schema.decodeUnknownEffect(Schema.fromJsonString(State))(text),
      ({ message }) => new RunError({ path, reason: message.replaceAll(/\s*\n\s*/g, " ") })
    )
    if (String(state.step) !== basename(directory)) {
      return yield* new RunError({ path, reason: `is that of step ${state.step}` })
    }
    return state
  })

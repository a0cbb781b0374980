/**
 * A run is a directory:
 *
 *   manifest.json   what is needed to repeat it        checkpoints/<step>/   models that load in transformers
 *   metrics.jsonl   one line per step                  samples.jsonl         readable rollouts
 *   ledger/         what happened, record by record       lock                  held by the process that is at it
 */
import { createHash } from "node:crypto"
import { basename, join, resolve } from "node:path"
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import { writeDirectoryAtomically, writeTextAtomically } from "../storage/atomic.ts"
import { Disk, readWhole } from "../storage/Disk.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { Manifest } from "./Manifest.ts"

export interface Run {
  readonly directory: string
  readonly manifest: Manifest
}

/** A run directory that is taken, is none, or does not hold what it should. `path: reason` is one line. */
export class RunError extends Schema.TaggedError<RunError>()("RunError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

export const metricsPath = (run: Run): string => join(run.directory, "metrics.jsonl")
export const samplesPath = (run: Run): string => join(run.directory, "samples.jsonl")
export const ledgerDirectory = (run: Run): string => join(run.directory, "ledger")
export const checkpointsDirectory = (run: Run): string => join(run.directory, "checkpoints")

/** Makes a run directory with its manifest, whole or not at all; the id is the directory's name. Never overwrites. */
export const createRun = (
  directory: string,
  manifest: Omit<Manifest, "format" | "id">
): Effect.Effect<Run, RunError | StorageError> =>
  Effect.gen(function* () {
    const whole: Manifest = { format: 1, id: basename(resolve(directory)), ...manifest }
    yield* writeDirectoryAtomically(directory, (temporary) =>
      Effect.gen(function* () {
        yield* (yield* Disk).makeDirectory(join(temporary, "checkpoints"))
        yield* writeTextAtomically(join(temporary, "manifest.json"), textOf(whole))
      })
    ).pipe(
      Effect.catchIf(
        ({ reason }) => reason.startsWith("already exists"),
        () =>
          new RunError({
            path: directory,
            reason: "already holds something; a run is never overwritten, choose another directory"
          })
      )
    )
    return { directory, manifest: whole }
  })

/** Opens a run that was made before. */
export const openRun = (directory: string): Effect.Effect<Run, RunError | StorageError> =>
  Effect.gen(function* () {
    const path = join(directory, "manifest.json")
    const text = new TextDecoder().decode(yield* readWhole(path, 2 ** 26))
    const manifest = yield* Schema.decodeUnknownEffect(Schema.fromJsonString(Manifest))(text).pipe(
      Effect.mapError(({ message }) => new RunError({ path, reason: message.replaceAll(/\s*\n\s*/g, " ") }))
    )
    return { directory, manifest }
  })

/** Keeps every other process away from a run until the scope closes: two that write to one would ruin it. */
export const holdRun = ({ directory }: Run): Effect.Effect<void, RunError | StorageError, Scope.Scope> =>
  Effect.flatMap(Disk, (disk) => disk.lock(join(directory, "lock"))).pipe(
    Effect.catchIf(
      ({ isTaken }) => isTaken,
      () => new RunError({ path: directory, reason: "another process is at this run; two at once would ruin it" })
    )
  )

/** SHA-256, hex, of manifest.json: what the ledger of a run says that it belongs to. */
export const manifestHash = ({ manifest }: Run): string => createHash("sha256").update(textOf(manifest)).digest("hex")

const textOf = (manifest: Manifest): string =>
  `${JSON.stringify(Schema.encodeSync(Manifest)(manifest), undefined, 2)}\n`

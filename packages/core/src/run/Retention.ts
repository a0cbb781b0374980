/** Which checkpoints of a run are kept. */
import { Effect } from "effect"
import { removeDirectoryAtomically } from "../storage/atomic.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { best, listCheckpoints } from "./Checkpoint.ts"
import type { CheckpointEntry } from "./Checkpoint.ts"
import type { Run } from "./Run.ts"

/** What any of these names is kept; the best by validation always is. */
export interface Retention {
  /** The newest so many, at least 1: two, so that there is one to fall back to. */
  readonly last: number
  /** Those of every so many steps; Infinity: none for that reason. */
  readonly every: number
}

export const standardRetention: Retention = { last: 2, every: Infinity }

/** What is not to be kept, of checkpoints by ascending step. */
export const surplus = (
  entries: ReadonlyArray<CheckpointEntry>,
  { last, every }: Retention
): ReadonlyArray<CheckpointEntry> => {
  const newest = new Set(entries.slice(-Math.max(1, last)))
  return entries.filter((entry) => !newest.has(entry) && entry.step % every !== 0 && entry !== best(entries))
}

/** Removes what is not to be kept, each whole or not at all. Call it once a newer checkpoint is durable. */
export const prune = (run: Run, retention: Retention): Effect.Effect<void, StorageError> =>
  Effect.flatMap(listCheckpoints(run), (entries) =>
    Effect.forEach(surplus(entries, retention), ({ directory }) => removeDirectoryAtomically(directory), {
      discard: true
    })
  )

/** The machine's disk, up to the death of the process: from some call on nothing arrives any more. */
import { Effect } from "effect"
import { Disk } from "../../src/storage/Disk.ts"
import type { DiskFile, DiskService } from "../../src/storage/Disk.ts"
import { StorageError } from "../../src/storage/StorageError.ts"

/** A call that changes the disk, by what it is about. */
export interface Change {
  readonly call: "open" | "write" | "truncate" | "sync" | "makeDirectory" | "rename" | "remove" | "syncDirectory"
  readonly path: string
}

export interface MortalDisk {
  readonly disk: DiskService
  /** Changes so far, the one that was refused first included. */
  readonly changes: ReadonlyArray<Change>
}

/** Dies at change `last` (counting from 0): of a write half of the bytes arrive, of anything else nothing. */
export const mortalDisk = (last: number): Effect.Effect<MortalDisk> =>
  Effect.map(Disk, (disk) => {
    const changes: Array<Change> = []
    const dead = (path: string) => Effect.fail(new StorageError({ path, reason: "the process is dead" }))
    const change = <A>(
      call: Change["call"],
      path: string,
      effect: Effect.Effect<A, StorageError>,
      half: Effect.Effect<unknown, StorageError> = Effect.void
    ) =>
      Effect.suspend(() => {
        if (changes.length > last) return dead(path)
        changes.push({ call, path })
        return changes.length > last ? Effect.andThen(half, dead(path)) : effect
      })
    const mortal = (file: DiskFile): DiskFile => ({
      ...file,
      write: (bytes) =>
        change("write", file.path, file.write(bytes), file.write(bytes.subarray(0, Math.floor(bytes.length / 2)))),
      truncate: (size) => change("truncate", file.path, file.truncate(size)),
      sync: change("sync", file.path, file.sync)
    })
    const service: DiskService = {
      open: (path, mode) =>
        Effect.map(mode === "read" ? disk.open(path, mode) : change("open", path, disk.open(path, mode)), mortal),
      list: disk.list,
      makeDirectory: (path) => change("makeDirectory", path, disk.makeDirectory(path)),
      rename: (from, to) => change("rename", to, disk.rename(from, to)),
      remove: (path) => change("remove", path, disk.remove(path)),
      syncDirectory: (path) => change("syncDirectory", path, disk.syncDirectory(path)),
      lock: disk.lock
    }
    return { disk: service, changes }
  })

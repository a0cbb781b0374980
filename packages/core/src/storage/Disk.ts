/** The file system as runs use it: a service, so that a test or a simulation can make it slow, full, torn or forgetful. */
import { constants } from "node:fs"
import { mkdir, open, readdir, rename, rm } from "node:fs/promises"
import type { FileHandle } from "node:fs/promises"
import type { DatabaseSync } from "node:sqlite"
import { Context, Effect } from "effect"
import type { Scope } from "effect"
import { StorageError } from "./StorageError.ts"

export interface DiskFile {
  readonly path: string
  readonly size: Effect.Effect<number, StorageError>
  /** Appends all of `bytes`; where that fails, some of them may have been written. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, StorageError>
  /** Fills `into` from `position` on; false where the file ends before. */
  readonly read: (into: Uint8Array, position: number) => Effect.Effect<boolean, StorageError>
  readonly truncate: (size: number) => Effect.Effect<void, StorageError>
  /** What was written survives a loss of power once this returns. */
  readonly sync: Effect.Effect<void, StorageError>
  /** Closing twice is harmless. */
  readonly close: Effect.Effect<void>
}

/** read: it must be there. create: it must not. append: either. */
export type OpenMode = "read" | "create" | "append"

export interface DiskService {
  readonly open: (path: string, mode: OpenMode) => Effect.Effect<DiskFile, StorageError>
  /** Names of what a directory holds, sorted. */
  readonly list: (directory: string) => Effect.Effect<ReadonlyArray<string>, StorageError>
  /** Makes a directory and its parents; one that is there already is fine. */
  readonly makeDirectory: (path: string) => Effect.Effect<void, StorageError>
  readonly rename: (from: string, to: string) => Effect.Effect<void, StorageError>
  /** Removes a file, or a directory with all that is in it; nothing there is fine. */
  readonly remove: (path: string) => Effect.Effect<void, StorageError>
  /** Makes durable which names a directory holds: a rename counts once this returns. */
  readonly syncDirectory: (path: string) => Effect.Effect<void, StorageError>
  /**
   * Holds a file, made where it is not there, until the scope closes or the process ends, however it does. Fails with `isTaken` while
   * someone else holds it, in this process or in another.
   */
  readonly lock: (path: string) => Effect.Effect<void, StorageError, Scope.Scope>
}

/** The disk of this machine unless another is provided. */
export const Disk = Context.Reference<DiskService>("@foretoken/core/Disk", { defaultValue: () => nodeDisk })

/** A file that is closed with the scope. */
export const openFile = (path: string, mode: OpenMode): Effect.Effect<DiskFile, StorageError, Scope.Scope> =>
  Effect.flatMap(Disk, (disk) => Effect.acquireRelease(disk.open(path, mode), ({ close }) => close))

/** All bytes of a file; one of more than `limit` is refused before memory is allocated for it. */
export const readWhole = (path: string, limit: number): Effect.Effect<Uint8Array<ArrayBuffer>, StorageError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* openFile(path, "read")
      const size = yield* file.size
      if (size > limit) {
        return yield* new StorageError({ path, reason: `has ${size} bytes; at most ${limit} are expected here` })
      }
      const bytes = new Uint8Array(size)
      if (!(yield* file.read(bytes, 0))) {
        return yield* new StorageError({ path, reason: "the file became shorter while it was read" })
      }
      return bytes
    })
  )

const attempt = <A>(path: string, action: () => Promise<A>): Effect.Effect<A, StorageError> =>
  Effect.tryPromise({ try: action, catch: (cause) => StorageError.of(path, cause) })

const openFlags: Readonly<Record<OpenMode, string | number>> = {
  // To open a pipe that nobody writes to would wait for ever, and hold a thread of Node's pool. Windows has no such flag.
  read: constants.O_RDONLY | (constants.O_NONBLOCK ?? 0),
  create: "wx+",
  append: "a+"
}

/** Files of this machine. All work is done on Node's thread pool: no call blocks the caller's thread. */
const nodeDisk: DiskService = {
  open: (path, mode) =>
    Effect.map(
      attempt(path, () => open(path, openFlags[mode])),
      (handle) => nodeFile(path, handle)
    ),
  list: (directory) => attempt(directory, async () => (await readdir(directory)).toSorted()),
  makeDirectory: (path) => attempt(path, () => mkdir(path, { recursive: true })),
  rename: (from, to) => attempt(to, () => rename(from, to)),
  remove: (path) => attempt(path, () => rm(path, { recursive: true, force: true })),
  syncDirectory: (path) =>
    attempt(path, async () => {
      // Windows cannot open directories and has no need to.
      if (process.platform === "win32") return
      const handle = await open(path, "r")
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    }),
  lock: (path) =>
    Effect.acquireRelease(
      attempt(path, () => heldDatabase(path)),
      (database) => Effect.sync(() => database.close())
    ).pipe(Effect.asVoid)
}

/**
 * Node locks no files, but the SQLite that comes with it does, on every system. The lock is the system's: it goes with the process,
 * also with one that is killed, so none is ever left behind.
 */
const heldDatabase = async (path: string): Promise<DatabaseSync> => {
  const { DatabaseSync } = await import("node:sqlite")
  const database = new DatabaseSync(path)
  try {
    database.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE")
    return database
  } catch (cause) {
    database.close()
    const isBusy = cause instanceof Error && "errcode" in cause && cause.errcode === sqliteBusy
    throw isBusy ? Object.assign(new Error("is held by another"), { code: "EBUSY" }) : cause
  }
}

const sqliteBusy = 5

/** One `read` or `write` of the system moves less than 2 GiB. */
const largestTransfer = 2 ** 30

const nodeFile = (path: string, handle: FileHandle): DiskFile => ({
  path,
  size: attempt(path, async () => {
    const stat = await handle.stat()
    if (!stat.isFile()) throw new Error("is not a file")
    return stat.size
  }),
  write: (bytes) =>
    attempt(path, async () => {
      for (let done = 0; done < bytes.byteLength;) {
        const length = Math.min(bytes.byteLength - done, largestTransfer)
        done += (await handle.write(bytes, done, length)).bytesWritten
      }
    }),
  read: (into, position) =>
    attempt(path, async () => {
      for (let done = 0; done < into.byteLength;) {
        const length = Math.min(into.byteLength - done, largestTransfer)
        const { bytesRead } = await handle.read(into, done, length, position + done)
        if (bytesRead === 0) return false
        done += bytesRead
      }
      return true
    }),
  truncate: (size) => attempt(path, () => handle.truncate(size)),
  sync: attempt(path, () => handle.sync()),
  // A second close rejects; what was written is judged by `sync`, not by this.
  close: Effect.promise(() => handle.close().catch(() => undefined))
})

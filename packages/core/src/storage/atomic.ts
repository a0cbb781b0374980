import { randomUUID } from "node:crypto"
import { mkdir, open, readdir, rename, rm } from "node:fs/promises"
import type { FileHandle } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { Effect, Exit } from "effect"
import { StorageError } from "./StorageError.ts"

/** One `read` or `write` of the system moves less than 2 GiB. */
const largestTransfer = 2 ** 30

/** Writes all of `bytes` at the file's current position. */
export const writeFully = async (file: FileHandle, bytes: Uint8Array): Promise<void> => {
  let done = 0
  while (done < bytes.byteLength) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.byteLength - done, largestTransfer))
    done += bytesWritten
  }
}

/** Fills `bytes` from `position` on; false where the file ends before. */
export const readFully = async (file: FileHandle, bytes: Uint8Array, position: number): Promise<boolean> => {
  let done = 0
  while (done < bytes.byteLength) {
    const length = Math.min(bytes.byteLength - done, largestTransfer)
    const { bytesRead } = await file.read(bytes, done, length, position + done)
    if (bytesRead === 0) return false
    done += bytesRead
  }
  return true
}

/** A rename is durable once its directory is; Windows cannot open directories and has no need to. */
const syncDirectory = async (directory: string): Promise<void> => {
  if (process.platform === "win32") return
  const handle = await open(directory, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const siblingOf = (path: string): string => join(dirname(path), `.${basename(path)}.partial-${randomUUID()}`)

/**
 * A file that is either whole or not there: `write` fills a temporary sibling, which is synced and renamed over `path`.
 * Whatever fails on the way, `path` stays as it was and the sibling is removed.
 */
export const writeFileAtomically = (
  path: string,
  write: (file: FileHandle) => Promise<void>
): Effect.Effect<void, StorageError> => {
  const target = resolve(path)
  const sibling = siblingOf(target)
  return Effect.tryPromise({
    try: async () => {
      try {
        const file = await open(sibling, "wx")
        try {
          await write(file)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(sibling, target)
        await syncDirectory(dirname(target))
      } catch (cause) {
        await rm(sibling, { force: true })
        throw cause
      }
    },
    catch: (cause) => StorageError.of(path, cause)
  }).pipe(Effect.uninterruptible)
}

export const writeTextAtomically = (path: string, text: string): Effect.Effect<void, StorageError> =>
  writeFileAtomically(path, (file) => writeFully(file, new TextEncoder().encode(text)))

/** True where nothing is, or an empty directory. */
const isFree = async (directory: string): Promise<boolean> => {
  try {
    return (await readdir(directory)).length === 0
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return true
    throw cause
  }
}

/**
 * A directory that is either whole or not there: `write` fills a temporary sibling, which is synced and renamed to `path`.
 * Fails where `path` exists already and is not an empty directory; missing parents are made.
 */
export const writeDirectoryAtomically = <E, R>(
  path: string,
  write: (temporary: string) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | StorageError, R> => {
  const target = resolve(path)
  const attempt = <A>(action: () => Promise<A>) =>
    Effect.tryPromise({ try: action, catch: (cause) => StorageError.of(path, cause) })
  const makeSibling = attempt(async () => {
    if (!(await isFree(target))) throw new Error("already exists and is not empty; nothing was overwritten")
    const sibling = siblingOf(target)
    await mkdir(dirname(sibling), { recursive: true })
    await mkdir(sibling)
    return sibling
  })
  return Effect.acquireUseRelease(
    makeSibling,
    (sibling) =>
      Effect.andThen(
        // The caller knows the target's name, not the sibling's.
        Effect.mapError(write(sibling), (error) =>
          error instanceof StorageError
            ? new StorageError({ path: error.path.replace(sibling, target), reason: error.reason })
            : error
        ),
        attempt(async () => {
          await syncDirectory(sibling)
          await rename(sibling, target)
          await syncDirectory(dirname(target))
        }).pipe(Effect.uninterruptible)
      ),
    (sibling, exit) =>
      Exit.isSuccess(exit) ? Effect.void : attempt(() => rm(sibling, { recursive: true, force: true }))
  )
}

import { randomUUID } from "node:crypto"
import { basename, dirname, join, resolve } from "node:path"
import { Effect, Exit } from "effect"
import { Disk } from "./Disk.ts"
import type { DiskFile } from "./Disk.ts"
import { StorageError } from "./StorageError.ts"

const siblingOf = (path: string, becomes: string): string =>
  join(dirname(path), `.${basename(path)}.${becomes}-${randomUUID()}`)

/** The caller knows the target's name, not the sibling's. */
const named =
  (sibling: string, target: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> =>
    Effect.mapError(self, (error) =>
      error instanceof StorageError
        ? new StorageError({ path: error.path.replace(sibling, target), reason: error.reason })
        : error
    )

/**
 * A file that is either whole or not there: `write` fills a temporary sibling, which is synced and renamed over `path`.
 * Whatever fails on the way, `path` stays as it was and the sibling is removed.
 */
export const writeFileAtomically = (
  path: string,
  write: (file: DiskFile) => Effect.Effect<void, StorageError>
): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const target = resolve(path)
    const sibling = siblingOf(target, "partial")
    const fill = Effect.acquireUseRelease(
      disk.open(sibling, "create"),
      (file) => Effect.andThen(write(file), file.sync),
      (file) => file.close
    )
    yield* fill.pipe(
      Effect.andThen(disk.rename(sibling, target)),
      Effect.andThen(disk.syncDirectory(dirname(target))),
      // An orphan that cannot be removed either is no reason to hide why the write failed.
      Effect.onError(() => Effect.ignore(disk.remove(sibling))),
      named(sibling, path)
    )
  }).pipe(Effect.uninterruptible)

export const writeTextAtomically = (path: string, text: string): Effect.Effect<void, StorageError> =>
  writeFileAtomically(path, (file) => file.write(new TextEncoder().encode(text)))

/**
 * A directory that is either whole or not there: `write` fills a temporary sibling, which is synced and renamed to `path`.
 * Fails where `path` exists already and is not an empty directory; missing parents are made.
 */
export const writeDirectoryAtomically = <E, R>(
  path: string,
  write: (temporary: string) => Effect.Effect<void, E, R>
): Effect.Effect<void, E | StorageError, R> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const target = resolve(path)
    const sibling = siblingOf(target, "partial")
    const isFree = Effect.matchEffect(disk.list(target), {
      onSuccess: (names) => Effect.succeed(names.length === 0),
      onFailure: (error) => (error.isMissing ? Effect.succeed(true) : Effect.fail(error))
    })
    const makeSibling = Effect.gen(function* () {
      if (!(yield* isFree)) {
        return yield* new StorageError({ path, reason: "already exists and is not empty; nothing was overwritten" })
      }
      yield* disk.makeDirectory(sibling)
    }).pipe(named(target, path))
    const publish = Effect.gen(function* () {
      yield* disk.syncDirectory(sibling)
      yield* disk.rename(sibling, target)
      yield* disk.syncDirectory(dirname(target))
    })
    yield* Effect.acquireUseRelease(
      makeSibling,
      () => write(sibling).pipe(Effect.andThen(Effect.uninterruptible(publish)), named(sibling, path)),
      (_, exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.ignore(disk.remove(sibling)))
    )
  })

/** Takes a directory away so that a crash leaves it whole or not there: it is renamed first, then emptied. */
export const removeDirectoryAtomically = (path: string): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const target = resolve(path)
    const sibling = siblingOf(target, "removed")
    yield* disk.rename(target, sibling)
    yield* disk.syncDirectory(dirname(target))
    yield* disk.remove(sibling)
  })

/** Removes what crashes have left half-written or half-removed in a directory. Only where nobody is writing to it. */
export const sweep = (directory: string): Effect.Effect<void, StorageError> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const orphans = (yield* disk.list(directory)).filter((name) => /^\..+\.(partial|removed)-[0-9a-f-]{36}$/.test(name))
    yield* Effect.forEach(orphans, (name) => disk.remove(join(directory, name)), { discard: true })
  })

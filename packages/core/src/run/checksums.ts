/** SHA256SUMS: the hash of every file of a directory, in the form that `sha256sum -c SHA256SUMS` checks. */
import { createHash } from "node:crypto"
import type { Hash } from "node:crypto"
import { join, resolve } from "node:path"
import { Effect, Result } from "effect"
import { writeTextAtomically } from "../storage/atomic.ts"
import { Disk, openFile, readWhole } from "../storage/Disk.ts"
import type { DiskFile, DiskService } from "../storage/Disk.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { RunError } from "./Run.ts"

const checksumsName = "SHA256SUMS"

/** SHA-256, hex, by file name. */
export type Checksums = Readonly<Record<string, string>>

/** Hashed at a time, some milliseconds of work: nobody on this thread waits longer. */
const slice = 2 ** 22

/**
 * Runs `write`, which makes files in `directory`, and hashes them on their way to the disk; then lists them there. Files are
 * known by the names that they have in the end.
 */
export const withChecksums = <E, R>(
  directory: string,
  write: Effect.Effect<void, E, R>
): Effect.Effect<Checksums, E | StorageError, R> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const hashes = new Map<string, Hash>()
    yield* Effect.provideService(write, Disk, hashingDisk(disk, hashes))
    const sums = Object.fromEntries(
      (yield* disk.list(directory)).flatMap((name) => {
        const hash = hashes.get(resolve(directory, name))
        return hash === undefined ? [] : [[name, hash.digest("hex")]]
      })
    )
    const lines = Object.entries(sums).map(([name, sum]) => `${sum}  ${name}\n`)
    yield* writeTextAtomically(join(directory, checksumsName), lines.join(""))
    return sums
  })

const hashingDisk = (disk: DiskService, hashes: Map<string, Hash>): DiskService => ({
  ...disk,
  open: (path, mode) =>
    Effect.map(disk.open(path, mode), (file): DiskFile => {
      if (mode !== "create") return file
      const hash = createHash("sha256")
      hashes.set(resolve(path), hash)
      const write = (bytes: Uint8Array) =>
        Effect.andThen(
          Effect.sync(() => hash.update(bytes)),
          file.write(bytes)
        )
      return { ...file, write: (bytes) => Effect.forEach(slices(bytes), write, { discard: true }) }
    }),
  rename: (from, to) =>
    Effect.tap(disk.rename(from, to), () =>
      Effect.sync(() => {
        const hash = hashes.get(resolve(from))
        if (hash !== undefined) hashes.set(resolve(to), hash)
      })
    )
})

const slices = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / slice) }, (_, i) => bytes.subarray(i * slice, (i + 1) * slice))

/** Fails unless a directory holds the files that it lists, bit for bit, and no others; those with a dot are nobody's. */
export const verifyChecksums = (directory: string): Effect.Effect<Checksums, RunError | StorageError> =>
  Effect.gen(function* () {
    const path = join(directory, checksumsName)
    const text = new TextDecoder().decode(yield* readWhole(path, 2 ** 20))
    const sums = yield* Effect.fromResult(
      Result.mapError(parseChecksums(text), (reason) => new RunError({ path, reason }))
    )
    const names = yield* (yield* Disk).list(directory)
    const stray = names.find((name) => !name.startsWith(".") && name !== checksumsName && !Object.hasOwn(sums, name))
    if (stray !== undefined) return yield* new RunError({ path, reason: `does not list ${JSON.stringify(stray)}` })
    for (const [name, sum] of Object.entries(sums)) {
      const file = join(directory, name)
      if ((yield* hashOf(file)) !== sum) {
        return yield* new RunError({
          path: file,
          reason: `is damaged: its hash is not the one that ${checksumsName} has`
        })
      }
    }
    return sums
  })

const parseChecksums = (text: string): Result.Result<Checksums, string> => {
  const lines = text.split("\n")
  if (lines.pop() !== "") return Result.fail("its last line is not whole")
  const sums: Record<string, string> = {}
  for (const [i, line] of lines.entries()) {
    const [, sum, name] = /^([0-9a-f]{64}) {2}([^/\\]+)$/.exec(line) ?? []
    if (sum === undefined || Object.hasOwn(sums, name)) {
      return Result.fail(`line ${i + 1} is no SHA-256 and file name, or names a file again`)
    }
    sums[name] = sum
  }
  return Result.succeed(sums)
}

const hashOf = (path: string): Effect.Effect<string, StorageError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const file = yield* openFile(path, "read")
      const size = yield* file.size
      const hash = createHash("sha256")
      for (let at = 0; at < size; at += slice) {
        const bytes = new Uint8Array(Math.min(slice, size - at))
        // A file that became shorter while it was read has another hash.
        if (yield* file.read(bytes, at)) hash.update(bytes)
      }
      return hash.digest("hex")
    })
  )

import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs"
import { Effect } from "effect"
import type { Scope } from "effect"
import { StorageError } from "../storage/StorageError.ts"

/** An append-only file of one JSON document per line. */
export interface JsonLines {
  readonly path: string
  /** Appends all lines or none: what a full disk left of them is cut off again. */
  readonly append: (lines: ReadonlyArray<unknown>) => Effect.Effect<void, StorageError>
}

/** Opens or makes the file. A last line without its newline was torn by a crash and is cut off. */
export const openJsonLines = (path: string): Effect.Effect<JsonLines, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const fd = yield* Effect.acquireRelease(
      attempt(path, () => openSync(path, "a+")),
      (fd) => Effect.sync(() => closeSync(fd))
    )
    let size = yield* attempt(path, () => {
      const whole = endOfLastLine(fd, fstatSync(fd).size)
      ftruncateSync(fd, whole)
      return whole
    })
    // Synchronous: a line costs microseconds, and two fibers can never interleave theirs.
    const append = (lines: ReadonlyArray<unknown>) =>
      attempt(path, () => {
        const bytes = new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
        try {
          for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done)
        } catch (cause) {
          ftruncateSync(fd, size)
          throw cause
        }
        size += bytes.length
      })
    return { path, append }
  })

const attempt = <A>(path: string, action: () => A): Effect.Effect<A, StorageError> =>
  Effect.try({ try: action, catch: (cause) => StorageError.of(path, cause) })

/** The position after the last newline among the first `size` bytes. */
const endOfLastLine = (fd: number, size: number): number => {
  const chunk = Buffer.alloc(65_536)
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunk.length)
    const read = readSync(fd, chunk, 0, end - start, start)
    const newline = chunk.subarray(0, read).lastIndexOf(0x0a)
    if (newline >= 0) return start + newline + 1
    end = start
  }
  return 0
}

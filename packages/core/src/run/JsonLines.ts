import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from "node:fs"
import { Effect, Predicate, Result } from "effect"
import type { Scope } from "effect"
import { StorageError } from "../storage/StorageError.ts"

/** An append-only file of one JSON document per line. */
export interface JsonLines {
  readonly path: string
  /** Appends all lines or none: what a full disk left of them is cut off again. */
  readonly append: (lines: ReadonlyArray<unknown>) => Effect.Effect<void, StorageError>
}

/**
 * Opens or makes the file. A last line without its newline was torn by a crash and is cut off, and so is everything from the
 * first line of a step after `through` on: a run that goes on from that step writes those again.
 */
export const openJsonLines = (
  path: string,
  through: number = Infinity
): Effect.Effect<JsonLines, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const fd = yield* Effect.acquireRelease(
      attempt(path, () => openSync(path, "a+")),
      (fd) => Effect.sync(() => closeSync(fd))
    )
    let size = yield* attempt(path, () => {
      const all = endOfLastLine(fd, fstatSync(fd).size)
      const whole = through === Infinity ? all : endOfSteps(readFileSync(path).subarray(0, all), through)
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

/** Where the first line begins that is of a step after `through`, or no JSON; else where the lines end. */
const endOfSteps = (lines: Buffer, through: number): number => {
  let start = 0
  for (let end = lines.indexOf(10); end >= 0; end = lines.indexOf(10, start)) {
    const line = Result.try((): unknown => JSON.parse(lines.toString("utf8", start, end)))
    if (Result.isFailure(line) || stepOf(line.success) > through) return start
    start = end + 1
  }
  return start
}

const stepOf = (line: unknown): number =>
  Predicate.isObject(line) && typeof line["step"] === "number" ? line["step"] : -Infinity

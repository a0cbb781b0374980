import { dirname } from "node:path"
import { Effect, Predicate, Result, Semaphore } from "effect"
import type { Scope } from "effect"
import { Disk, openFile } from "../storage/Disk.ts"
import type { DiskFile } from "../storage/Disk.ts"
import type { StorageError } from "../storage/StorageError.ts"

/** An append-only file of one JSON document per line. */
export interface JsonLines {
  readonly path: string
  /** Appends all lines or none: what a full disk left of them is cut off again. */
  readonly append: (lines: ReadonlyArray<unknown>) => Effect.Effect<void, StorageError>
  /** Everything appended so far is durable once this returns. */
  readonly sync: Effect.Effect<void, StorageError>
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
    const mutex = yield* Semaphore.make(1)
    const file = yield* openFile(path, "append")
    yield* (yield* Disk).syncDirectory(dirname(path))
    const there = yield* file.size
    const whole = yield* endOfLastLine(file, there)
    let size = through === Infinity ? whole : yield* endOfSteps(file, whole, through)
    if (size < there) yield* file.truncate(size)

    const write = Effect.fnUntraced(function* (lines: ReadonlyArray<unknown>) {
      const bytes = new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
      yield* Effect.onError(file.write(bytes), () => Effect.ignore(file.truncate(size)))
      size += bytes.length
    })
    // Lines of two fibers never interleave, and an interruption leaves no half of one.
    const append = (lines: ReadonlyArray<unknown>) => write(lines).pipe(Effect.uninterruptible, mutex.withPermit)
    return { path, append, sync: file.sync }
  })

/** The position after the last newline among the first `size` bytes. */
const endOfLastLine = Effect.fnUntraced(function* (file: DiskFile, size: number) {
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - 65_536)
    const chunk = new Uint8Array(end - start)
    yield* file.read(chunk, start)
    const newline = chunk.lastIndexOf(0x0a)
    if (newline >= 0) return start + newline + 1
    end = start
  }
  return 0
})

/** Where the first line begins that is of a step after `through`, or no JSON; else where the lines end, at `size`. */
const endOfSteps = Effect.fnUntraced(function* (file: DiskFile, size: number, through: number) {
  const lines = Buffer.alloc(size)
  yield* file.read(lines, 0)
  let start = 0
  for (let end = lines.indexOf(10); end >= 0; end = lines.indexOf(10, start)) {
    const line = Result.try((): unknown => JSON.parse(lines.toString("utf8", start, end)))
    if (Result.isFailure(line) || stepOf(line.success) > through) return start
    start = end + 1
  }
  return start
})

const stepOf = (line: unknown): number =>
  Predicate.isObject(line) && typeof line["step"] === "number" ? line["step"] : -Infinity

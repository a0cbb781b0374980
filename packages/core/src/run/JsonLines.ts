import { dirname } from "node:path"
import { Effect, Option, Predicate, Result, Semaphore } from "effect"
import type { Scope } from "effect"
import { Disk, openFile } from "../storage/Disk.ts"
import type { DiskFile } from "../storage/Disk.ts"
import type { StorageError } from "../storage/StorageError.ts"

/** An append-only file of one JSON document per line. */
export interface JsonLines {
  readonly path: string
  /** The last line that was there when it was opened, of those that stay. */
  readonly last: Option.Option<unknown>
  /** Appends all lines or none: what a full disk left of them is cut off again. */
  readonly append: (lines: ReadonlyArray<unknown>) => Effect.Effect<void, StorageError>
  /** Everything appended so far is durable once this returns. */
  readonly sync: Effect.Effect<void, StorageError>
}

/**
 * Opens or makes the file. A last line without its newline was torn by a crash and is cut off, and so are the lines at its end that
 * are of steps after `through`, or no JSON: a run that goes on from that step writes those again. Nothing before them is touched, whatever
 * has become of it.
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
    const { end, last } = yield* endOfSteps(file, yield* endOfLine(file, there), through)
    let size = end
    if (size < there) yield* file.truncate(size)

    const write = Effect.fnUntraced(function* (lines: ReadonlyArray<unknown>) {
      const bytes = new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
      yield* Effect.onError(file.write(bytes), () => Effect.ignore(file.truncate(size)))
      size += bytes.length
    })
    // Lines of two fibers never interleave, and an interruption leaves no half of one.
    const append = (lines: ReadonlyArray<unknown>) => write(lines).pipe(Effect.uninterruptible, mutex.withPermit)
    return { path, last, append, sync: file.sync }
  })

/** The position after the last newline among the first `size` bytes. */
const endOfLine = Effect.fnUntraced(function* (file: DiskFile, size: number) {
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

/** Where the last line ends, of those up to `size`, that is of a step up to `through`; and that line. */
const endOfSteps = Effect.fnUntraced(function* (file: DiskFile, size: number, through: number) {
  for (let end = size; end > 0;) {
    const start = yield* endOfLine(file, end - 1)
    const bytes = new Uint8Array(end - start)
    yield* file.read(bytes, start)
    const line = Result.try((): unknown => JSON.parse(new TextDecoder().decode(bytes)))
    if (Result.isSuccess(line) && stepOf(line.success) <= through) return { end, last: Option.some(line.success) }
    end = start
  }
  return { end: 0, last: Option.none<unknown>() }
})

const stepOf = (line: unknown): number =>
  Predicate.isObject(line) && typeof line["step"] === "number" ? line["step"] : -Infinity

import { join } from "node:path"
import { Effect } from "effect"
import { writeFileAtomically } from "../../storage/atomic.ts"
import { Disk, openFile } from "../../storage/Disk.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import { headerBytes } from "./frame.ts"
import type { Segment } from "./segments.ts"
import { segmentIndices, segmentName } from "./segments.ts"

/**
 * Ends a ledger at its last whole record. What a crash tore is cut off; what was once whole and is damaged is set aside under
 * other names, for someone to look at. Returns what was done, a line each.
 *
 * The segment that has the flaw is changed last: a crash on the way leaves the flaw to be found again.
 */
export const repair = Effect.fnUntraced(function* (
  directory: string,
  segment: Segment
): Effect.fn.Return<ReadonlyArray<string>, StorageError> {
  const [flaw] = segment.flaw
  if (flaw === undefined) return []
  const disk = yield* Disk
  const lost = segment.bytes.length - segment.end
  if (flaw.kind === "damaged") {
    const later = (yield* segmentIndices(directory)).filter((index) => index > segment.index)
    for (const index of later.toReversed()) {
      const path = join(directory, segmentName(index))
      yield* disk.rename(path, `${path}.damaged`)
    }
    const rest = segment.bytes.subarray(segment.end)
    yield* writeFileAtomically(`${segment.path}.from-${segment.end}.damaged`, (file) => file.write(rest))
  }
  if (segment.end < headerBytes) {
    yield* disk.remove(segment.path)
    yield* disk.syncDirectory(directory)
  } else {
    yield* Effect.scoped(
      Effect.flatMap(openFile(segment.path, "append"), (file) => Effect.andThen(file.truncate(segment.end), file.sync))
    )
  }
  const done = flaw.kind === "torn" ? "cut off" : "set aside as *.damaged"
  return [`${flaw.message}; what follows the last whole record, ${lost} bytes here, is ${done}`]
})

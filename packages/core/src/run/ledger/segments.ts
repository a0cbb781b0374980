/** The segments of a ledger, read in order up to the first byte that cannot be trusted. */
import { join } from "node:path"
import { Effect, Result, Stream } from "effect"
import { Disk, readWhole } from "../../storage/Disk.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import type { Frame } from "./frame.ts"
import { frameAt, headerBytes, largestPayload, nextWhole, parseHeader } from "./frame.ts"
import { LedgerError, LedgerFlaw } from "./LedgerError.ts"
import { currentVersion } from "./migrations.ts"

/** A new segment is begun once one has so many bytes. */
export const defaultSegmentBytes = 2 ** 24

/** A segment and the longest append that may have carried it past its size. */
const largestSegment = 2 ** 28 + largestPayload

export const segmentName = (index: number): string => `${String(index).padStart(6, "0")}.ledger`

/** What of a segment is whole. */
export interface Segment {
  readonly path: string
  readonly index: number
  readonly version: number
  readonly frames: ReadonlyArray<Frame>
  /** Bytes up to the end of the last whole record; 0 where not even the header is whole. */
  readonly end: number
  /** The number of the record that comes next. */
  readonly next: number
  /** None, or the one that ends the ledger here. */
  readonly flaw: ReadonlyArray<LedgerFlaw>
  readonly bytes: Uint8Array
}

/** Segments up to the first that has a flaw, that one included. A newer schema than this version knows is an error. */
export const segments = (directory: string): Stream.Stream<Segment, StorageError | LedgerError> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const indices = yield* segmentIndices(directory)
      let next = 0
      return Stream.fromIterable(indices.entries()).pipe(
        Stream.mapEffect(([at, index]) => readSegment(directory, index, next, at === indices.length - 1)),
        Stream.tap((segment) => Effect.sync(() => (next = segment.next))),
        Stream.takeUntil(({ flaw }) => flaw.length > 0)
      )
    })
  )

/** Which segments are there, ascending. */
export const segmentIndices = (directory: string): Effect.Effect<ReadonlyArray<number>, StorageError> =>
  Effect.gen(function* () {
    const names = yield* (yield* Disk).list(directory)
    return names
      .filter((name) => /^\d{6,}\.ledger$/.test(name))
      .map((name) => parseInt(name, 10))
      .toSorted((a, b) => a - b)
  })

const readSegment = Effect.fnUntraced(function* (directory: string, index: number, expected: number, isLast: boolean) {
  const path = join(directory, segmentName(index))
  const bytes = yield* readWhole(path, largestSegment)
  const flawed = (offset: number, reason: string, isTorn: boolean) =>
    new LedgerFlaw({ kind: isTorn ? "torn" : "damaged", segment: path, offset, reason })
  const header = parseHeader(bytes)
  if (Result.isFailure(header)) {
    const flaw = flawed(0, header.failure, isLast && bytes.length <= headerBytes)
    return { path, index, version: currentVersion, frames: [], end: 0, next: expected, flaw: [flaw], bytes }
  }
  const { version, first } = header.success
  if (version < 1 || version > currentVersion) {
    const reason = `is written in schema ${version}; this version of Foretoken reads 1 to ${currentVersion}`
    return yield* new LedgerError({ path, reason })
  }
  if (first !== expected) {
    const flaw = flawed(0, `it begins with record ${first}, ${expected} was expected: a segment is missing`, false)
    return { path, index, version, frames: [], end: 0, next: expected, flaw: [flaw], bytes }
  }
  const { frames, end, reason } = wholeFrames(bytes, first)
  const flaw = reason.map((reason) => flawed(end, reason, isLast && nextWhole(bytes, end) === undefined))
  return { path, index, version, frames, end, next: first + frames.length, flaw, bytes } satisfies Segment
})

/** The frames of a segment up to its end or, with the reason, to the first that is not whole. */
const wholeFrames = (bytes: Uint8Array, first: number) => {
  const frames: Array<Frame> = []
  let end = headerBytes
  while (end < bytes.length) {
    const frame = frameAt(bytes, end)
    if (Result.isFailure(frame)) return { frames, end, reason: [frame.failure] }
    const { number } = frame.success
    const expected = first + frames.length
    if (number !== expected) return { frames, end, reason: [`record ${number} stands where ${expected} belongs`] }
    frames.push(frame.success)
    end = frame.success.end
  }
  return { frames, end, reason: [] }
}

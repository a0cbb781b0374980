/**
 * The ledger is the truth of a run: ledger/000000.ledger, 000001.ledger, ..., append-only segments of records, each with its
 * length, number and checksum (ledger/frame.ts). What is appended survives the death of the process; what was synced survives
 * a loss of power. A ledger ends at its last whole record, whatever a crash or a bad disk has left behind that.
 */
import { dirname, join } from "node:path"
import { Duration, Effect, Option, Result, Semaphore, Stream } from "effect"
import type { Scope } from "effect"
import { Disk } from "../storage/Disk.ts"
import type { DiskFile } from "../storage/Disk.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { encodeFrames, encodeHeader, largestPayload } from "./ledger/frame.ts"
import { LedgerError, LedgerFlaw } from "./ledger/LedgerError.ts"
import { currentVersion } from "./ledger/migrations.ts"
import { decodeRecord, encodeRecord } from "./ledger/payload.ts"
import type { LedgerRecord } from "./ledger/records.ts"
import { repair } from "./ledger/repair.ts"
import type { Segment } from "./ledger/segments.ts"
import { defaultSegmentBytes, segmentName, segments } from "./ledger/segments.ts"

export { audit } from "./ledger/audit.ts"
export type { Audit, Violation } from "./ledger/audit.ts"
export { LedgerError, LedgerFlaw } from "./ledger/LedgerError.ts"
export { live } from "./ledger/live.ts"
export type { LedgerRecord, RecordOf } from "./ledger/records.ts"
export { groupsOf, stepsOf } from "./ledger/steps.ts"
export type { LedgerStep } from "./ledger/steps.ts"

export interface Ledger {
  readonly directory: string
  /** What opening it had to repair, a line each. */
  readonly said: ReadonlyArray<string>
  /** Appends all of the records or none. They are durable after the next `sync`. */
  readonly append: (records: ReadonlyArray<LedgerRecord>) => Effect.Effect<void, LedgerError | StorageError>
  /** Everything appended so far is durable once this returns. */
  readonly sync: Effect.Effect<void, StorageError>
  /** Seconds that appends and syncs have taken since it was opened. */
  readonly seconds: () => number
}

export interface LedgerOptions {
  /** A new segment is begun once one has so many bytes. Default 16 MiB. */
  readonly segmentBytes?: number
}

/** Opens a ledger to go on after its last whole record, or begins one. One writer at a time. */
export const openLedger = (
  directory: string,
  { segmentBytes = defaultSegmentBytes }: LedgerOptions = {}
): Effect.Effect<Ledger, LedgerError | StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const disk = yield* Disk
    const mutex = yield* Semaphore.make(1)
    yield* disk.makeDirectory(directory)
    yield* disk.syncDirectory(dirname(directory))

    const last = yield* lastSegment(directory)
    const said: ReadonlyArray<string> = yield* Option.match(last, {
      onNone: () => Effect.succeed([]),
      onSome: (found) => repair(directory, found)
    })
    let next = Option.match(last, { onNone: () => 0, onSome: (found) => found.next })
    let index = Option.match(last, { onNone: () => 0, onSome: (found) => found.index })
    let size = Option.match(last, { onNone: () => 0, onSome: (found) => found.end })
    /** After a failed repair or sync nobody knows what the disk holds: nothing more is written over it. */
    let broken: Option.Option<StorageError> = Option.none()

    const begin = Effect.gen(function* () {
      const header = encodeHeader(next)
      const file = yield* disk.open(join(directory, segmentName(index)), "create")
      const fill = file.write(header).pipe(Effect.andThen(file.sync), Effect.andThen(disk.syncDirectory(directory)))
      // A segment without its header would be in the way of the next attempt.
      yield* Effect.onError(fill, () => Effect.andThen(file.close, Effect.ignore(disk.remove(file.path))))
      size = header.length
      return file
    })
    let file: DiskFile = yield* size === 0 ? begin : disk.open(join(directory, segmentName(index)), "append")
    yield* Effect.addFinalizer(() => Effect.suspend(() => file.close))
    // What is appended is in the current schema, so it does not go behind records of an older one.
    const isOld = Option.exists(last, ({ version }) => version < currentVersion)

    const rotate = Effect.gen(function* () {
      yield* file.sync
      index++
      const following = yield* Effect.onError(begin, () => Effect.sync(() => index--))
      yield* file.close
      file = following
    })
    if (isOld) yield* rotate

    const breaking = (action: Effect.Effect<void, StorageError>) =>
      Effect.tapError(action, (error) => Effect.sync(() => (broken = Option.some(error))))

    const write = Effect.fnUntraced(function* (payloads: ReadonlyArray<Uint8Array>) {
      if (Option.isSome(broken)) return yield* broken.value
      if (size >= segmentBytes) yield* rotate
      const bytes = encodeFrames(payloads, next)
      yield* Effect.onError(file.write(bytes), () => Effect.ignore(breaking(file.truncate(size))))
      size += bytes.length
      next += payloads.length
    })

    const encodeAndWrite = Effect.fnUntraced(function* (records: ReadonlyArray<LedgerRecord>) {
      const payloads = records.map(encodeRecord)
      const long = payloads.findIndex(({ length }) => length > largestPayload)
      if (long >= 0) {
        const reason = `a ${records[long]._tag} of ${payloads[long].length} bytes; at most ${largestPayload} fit a record`
        return yield* new LedgerError({ path: directory, reason })
      }
      yield* write(payloads)
    })

    let seconds = 0
    const alone = <A, E>(action: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.timed(action).pipe(
        Effect.map(([duration, value]) => {
          seconds += Duration.toSeconds(duration)
          return value
        }),
        Effect.uninterruptible,
        mutex.withPermit
      )

    const sync = Effect.suspend(() => (Option.isSome(broken) ? Effect.fail(broken.value) : breaking(file.sync)))
    return {
      directory,
      said,
      append: (records) => alone(encodeAndWrite(records)),
      sync: alone(sync),
      seconds: () => seconds
    }
  })

/** The last whole one, or the one that has the flaw; none where a ledger is yet to begin. */
const lastSegment = (directory: string): Effect.Effect<Option.Option<Segment>, LedgerError | StorageError> =>
  Stream.runLast(segments(directory))

/**
 * The records of a ledger in their order, a segment in memory at a time. Where whole records end before the bytes do, the
 * stream fails there, after all of them. Nothing on disk is changed.
 */
export const ledgerRecords = (
  directory: string
): Stream.Stream<LedgerRecord, LedgerFlaw | LedgerError | StorageError> =>
  segments(directory).pipe(
    Stream.flatMap((segment) => {
      const { records, flaw } = decodeSegment(segment)
      return Stream.concat(Stream.fromArray(records), flaw.length > 0 ? Stream.fail(flaw[0]) : Stream.empty)
    })
  )

const decodeSegment = ({ path, version, frames, flaw }: Segment) => {
  const records: Array<LedgerRecord> = []
  for (const { payload, end } of frames) {
    const record = decodeRecord(payload, version)
    if (Result.isFailure(record)) {
      const offset = end - payload.length
      return { records, flaw: [new LedgerFlaw({ kind: "damaged", segment: path, offset, reason: record.failure })] }
    }
    records.push(record.success)
  }
  return { records, flaw }
}

/** All records, and the flaw that they end at, if they do. For ledgers that fit in memory. */
export const readLedger = (
  directory: string
): Effect.Effect<
  { readonly records: ReadonlyArray<LedgerRecord>; readonly flaw: Option.Option<LedgerFlaw> },
  LedgerError | StorageError
> => {
  const records: Array<LedgerRecord> = []
  return Stream.runForEachArray(ledgerRecords(directory), (some) => Effect.sync(() => void records.push(...some))).pipe(
    Effect.as(Option.none<LedgerFlaw>()),
    Effect.catchTag("LedgerFlaw", (flaw) => Effect.succeed(Option.some(flaw))),
    Effect.map((flaw) => ({ records, flaw }))
  )
}

import { copyFileSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { Effect, Option, Result } from "effect"
import type { Scope } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { audit, openLedger, readLedger } from "../../src/run/Ledger.ts"
import type { Ledger, LedgerOptions, LedgerRecord } from "../../src/run/Ledger.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { StorageError } from "../../src/storage/StorageError.ts"
import { makeMemoryDisk } from "../../src/testing/memoryDisk.ts"
import type { MemoryDisk } from "../../src/testing/memoryDisk.ts"
import { temporaryDirectory } from "../temporary.ts"
import { anyRecord, runRecords, stepRecords } from "./ledgerFixtures.ts"

const directory = "/run/ledger"
const segment = (index: number) => `${directory}/00000${index}.ledger`
const shape = { steps: 2, unitsPerStep: 1, problemsPerUnit: 2, groupSize: 2 }
const short = { steps: 1, unitsPerStep: 1, problemsPerUnit: 1, groupSize: 1 }

/** On a disk in memory. */
const on = <A, E>(memory: MemoryDisk, effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.runPromise(Effect.result(Effect.scoped(Effect.provideService(effect, Disk, memory.boot()))))

const read = async (memory: MemoryDisk) => Result.getOrThrow(await on(memory, readLedger(directory)))

/** A ledger that was written in appends of some records each, and closed. */
const written = async (appends: ReadonlyArray<ReadonlyArray<LedgerRecord>>, options?: LedgerOptions) => {
  const memory = makeMemoryDisk()
  const write = Effect.flatMap(openLedger(directory, options), (ledger) => Effect.forEach(appends, ledger.append))
  Result.getOrThrow(await on(memory, write))
  return memory
}

const bytesOf = (memory: MemoryDisk, path: string) => {
  const bytes = memory.files().get(path)
  if (bytes === undefined) throw new Error(`${path} is not there`)
  return bytes
}

/** Opens a ledger, which repairs it, appends a record, and reads all. */
const recovered = async (memory: MemoryDisk) => {
  const extra: LedgerRecord = { _tag: "document", step: 9, id: "after", tokens: Int32Array.of(1) }
  const said = Result.getOrThrow(
    await on(
      memory,
      Effect.flatMap(openLedger(directory), (ledger) => Effect.as(ledger.append([extra]), ledger.said))
    )
  )
  const { records, flaw } = await read(memory)
  expect(flaw).toEqual(Option.none())
  expect(records.at(-1)).toEqual(extra)
  return { said, records: records.slice(0, -1) }
}

const withBytes = (path: string, bytes: Uint8Array) => {
  const memory = makeMemoryDisk()
  memory.put(path, bytes)
  return memory
}

/** How many of the records lie whole within the first `length` bytes, from the frames' own lengths. */
const wholeWithin = (bytes: Uint8Array, length: number): number => {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let count = 0
  for (let at = 20; at < bytes.length; count++) {
    at += 12 + data.getUint32(at, true)
    if (at > length) return count
  }
  return count
}

describe("a ledger", () => {
  it("holds all that was appended, in order, over any number of openings and segments", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.array(anyRecord, { maxLength: 4 }), { maxLength: 3 }), { maxLength: 3 }),
        fc.constantFrom(1, 200, 2000, 2 ** 24),
        async (openings, segmentBytes) => {
          const memory = makeMemoryDisk()
          for (const appends of openings) {
            const write = Effect.flatMap(openLedger(directory, { segmentBytes }), (ledger) =>
              Effect.as(Effect.forEach(appends, ledger.append), ledger.said)
            )
            expect(Result.getOrThrow(await on(memory, write))).toEqual([])
          }
          if (openings.length === 0) return
          expect(await read(memory)).toEqual({ records: openings.flat(2), flaw: Option.none() })
        }
      )
    )
  })

  it("of many writers at once has every append whole, records side by side", async () => {
    const memory = makeMemoryDisk()
    const appends = Array.from({ length: 20 }, (_, i) => stepRecords(1, i, shape))
    const write = Effect.flatMap(openLedger(directory, { segmentBytes: 5000 }), (ledger) =>
      Effect.forEach(appends, (records) => Effect.andThen(Effect.yieldNow, ledger.append(records)), {
        concurrency: "unbounded"
      })
    )
    await on(memory, write)
    const { records } = await read(memory)
    const size = appends[0].length
    const found = Array.from({ length: 20 }, (_, i) => records.slice(i * size, (i + 1) * size))
    const key = (own: ReadonlyArray<LedgerRecord>) => JSON.stringify(own.at(-1))
    expect(found.map(key).toSorted()).toEqual(appends.map(key).toSorted())
    for (const own of found) expect(own).toEqual(appends.find((other) => key(other) === key(own)))
  })

  it("cut at any byte of its last segment goes on after the last record that is whole, and says so in a line", async () => {
    const all = runRecords(short)
    const whole = bytesOf(await written(all.map((record) => [record])), segment(0))
    for (let length = 0; length <= whole.length; length++) {
      const memory = withBytes(segment(0), whole.slice(0, length))
      const { said, records } = await recovered(memory)
      const expected = wholeWithin(whole, length)
      expect(records).toEqual(all.slice(0, expected))
      const isEnd = length === 0 ? false : wholeWithin(whole, length - 1) < expected || length === 20
      if (isEnd) expect(said).toEqual([])
      else
        expect(said).toEqual([
          expect.stringMatching(/^\/run\/ledger\/000000\.ledger: torn at byte \d+ by a crash [^\n]+ cut off$/)
        ])
    }
  })

  it("cut in its last of several segments keeps those before", async () => {
    const appends = runRecords(shape).map((record) => [record])
    const memory = await written(appends, { segmentBytes: 1000 })
    const names = [...memory.files().keys()].toSorted()
    expect(names.length).toBeGreaterThan(3)
    const last = names.at(-1) ?? ""
    const before = (await read(memory)).records
    const bytes = bytesOf(memory, last)
    for (const length of [0, 7, 19, 20, 21, bytes.length - 1]) {
      memory.put(last, bytes.slice(0, length))
      const { records } = await recovered(memory)
      expect(records).toEqual(before.slice(0, records.length))
      expect(records.length).toBeGreaterThan(before.length - 12)
      memory.put(last, bytes)
    }
  })

  it("with any one bit flipped goes on after the last record before it, and names segment and byte", async () => {
    const all = runRecords(short)
    const whole = bytesOf(await written([all]), segment(0))
    let damaged = 0
    for (let bit = 0; bit < whole.length * 8; bit += bit < 1000 ? 1 : 11) {
      const bytes = whole.slice()
      bytes[bit >> 3] ^= 1 << (bit & 7)
      const memory = withBytes(segment(0), bytes)
      const before = wholeWithin(whole, bit >> 3)
      if (bit >> 3 < 20) {
        // The header: nothing behind it is believed, nothing of it is lost.
        expect((await recovered(memory)).records).toEqual([])
        expect(bytesOf(memory, `${segment(0)}.from-0.damaged`)).toEqual(bytes)
        continue
      }
      const { flaw, records } = await read(memory)
      expect(records).toEqual(all.slice(0, before))
      const isLast = before === all.length - 1
      expect(flaw).toMatchObject({ _tag: "Some", value: { kind: isLast ? "torn" : "damaged", segment: segment(0) } })
      const repaired = await recovered(memory)
      expect(repaired.records).toEqual(all.slice(0, before))
      expect(repaired.said).toEqual([
        expect.stringMatching(/^[^\n]+000000\.ledger: (torn|damaged) at byte \d+ [^\n]+$/)
      ])
      if (!isLast) {
        damaged++
        expect(repaired.said[0]).toMatch(/is set aside as \*\.damaged$/)
        expect([...memory.files().keys()].some((name) => name.endsWith(".damaged"))).toBe(true)
      }
    }
    expect(damaged).toBeGreaterThan(100)
  })

  it("damaged in an earlier segment, or without it, ends there; the later ones are set aside", async () => {
    const appends = runRecords(shape).map((record) => [record])
    const pristine = await written(appends, { segmentBytes: 1000 })
    const names = [...pristine.files().keys()].toSorted()
    for (const damage of ["flip", "cut", "missing"] as const) {
      const memory = makeMemoryDisk()
      for (const [name, bytes] of pristine.files()) {
        const isHit = name === names[1]
        if (isHit && damage === "missing") continue
        const flipped = bytes.with(300, bytes[300] ^ 1)
        memory.put(name, !isHit ? bytes : damage === "flip" ? flipped : bytes.slice(0, -1))
      }
      const { said, records } = await recovered(memory)
      expect(records).toEqual(appends.flat().slice(0, records.length))
      expect(said).toEqual([expect.stringMatching(/: damaged at byte \d+ /)])
      const aside = [...memory.files().keys()].filter((name) => name.endsWith(".damaged"))
      expect(aside.length).toBe(damage === "missing" ? names.length - 2 : names.length - 1)
    }
  })

  it("does not take a record that was moved, doubled or left out", async () => {
    const all = runRecords(shape)
    const whole = bytesOf(await written([all]), segment(0))
    const ends = [20]
    const data = new DataView(whole.buffer)
    while (ends[ends.length - 1] < whole.length) {
      const at = ends[ends.length - 1]
      ends.push(at + 12 + data.getUint32(at, true))
    }
    const frame = (i: number) => whole.subarray(ends[i], ends[i + 1])
    const head = whole.subarray(0, ends[3])
    for (const frames of [
      [3, 3, 4],
      [4, 3, 5],
      [4, 5, 6]
    ]) {
      const memory = withBytes(segment(0), new Uint8Array(Buffer.concat([head, ...frames.map(frame)])))
      const { records, flaw } = await read(memory)
      expect(records).toEqual(all.slice(0, frames[0] === 3 ? 4 : 3))
      expect(Option.getOrThrow(flaw).reason).toMatch(/^record \d+ stands where \d+ belongs$/)
    }
  })

  it("refuses a length beyond the file or its limit without making room for it", async () => {
    const whole = bytesOf(await written([runRecords(shape)]), segment(0))
    for (const length of [whole.length, 2 ** 26 + 1, 2 ** 32 - 1]) {
      const bytes = whole.slice()
      new DataView(bytes.buffer).setUint32(20, length, true)
      const { flaw, records } = await read(withBytes(segment(0), bytes))
      expect(records).toEqual([])
      expect(Option.getOrThrow(flaw).message).toMatch(/damaged at byte 20 \(a record of \d+ bytes/)
    }
  })

  it("of a newer schema is refused, not repaired", async () => {
    const whole = bytesOf(await written([runRecords(shape)]), segment(0))
    const header = Buffer.from("666f7265746f6b6e6300000000000000", "hex")
    const crc = Buffer.alloc(4)
    crc.writeUInt32LE(crc32(header))
    const bytes = new Uint8Array(Buffer.concat([header, crc, whole.subarray(20)]))
    const memory = withBytes(segment(0), bytes)
    const opened = await on(memory, openLedger(directory))
    expect(Result.getOrThrow(Result.flip(opened)).message).toBe(
      `${segment(0)}: is written in schema 99; this version of Foretoken reads 1 to 3`
    )
    expect(bytesOf(memory, segment(0))).toEqual(bytes)
  })

  it("of schema 2 is read as it stands: nothing that was there has changed since", async () => {
    const whole = bytesOf(await written([runRecords(shape)]), segment(0))
    const header = Buffer.concat([Buffer.from("foretokn"), Buffer.from([2, 0, 0, 0, 0, 0, 0, 0])])
    const crc = Buffer.alloc(4)
    crc.writeUInt32LE(crc32(header))
    const { records, flaw } = await read(
      withBytes(segment(0), new Uint8Array(Buffer.concat([header, crc, whole.subarray(20)])))
    )
    expect(flaw).toEqual(Option.none())
    expect(records).toEqual(runRecords(shape))
  })

  it("of schema 1, by another implementation, is read as the current one, and gone on with in a new segment", async () => {
    const root = join(temporaryDirectory(), "ledger")
    mkdirSync(root)
    copyFileSync(join(import.meta.dirname, "fixtures/ledger-v1.ledger"), join(root, "000000.ledger"))
    const { records, flaw } = await Effect.runPromise(readLedger(root))
    expect(flaw).toEqual(Option.none())
    expect(audit(records).violations).toEqual([])
    expect(records[2]).toEqual({
      _tag: "problem",
      step: 1,
      id: "0/text:1@2",
      epoch: 0,
      document: "text:1",
      anchor: 2,
      continuation: { bytes: Uint8Array.of(0xc3, 0xa9), boundaries: [1, 2] },
      unit: 0,
      place: 0,
      of: 1
    })
    expect(records[3]).toMatchObject({ tokens: Int32Array.of(7, 300), logprobs: Float32Array.of(-0.5, -1.25) })
    expect(records[4]).toMatchObject({ verdict: { value: 1, parts: { match: 1, length: -0 } } })
    expect(records[6]).toMatchObject({
      verdict: { _tag: "Unscorable", kind: "declined", reason: "the judge was silent" }
    })
    const old = readFileSync(join(root, "000000.ledger"))
    await Effect.runPromise(Effect.scoped(Effect.flatMap(openLedger(root), (ledger) => ledger.append(records))))
    expect(readFileSync(join(root, "000000.ledger"))).toEqual(old)
    expect((await Effect.runPromise(readLedger(root))).records).toEqual([...records, ...records])
  })
})

describe("a ledger on a disk that fails", () => {
  const full = (path: string) => new StorageError({ path, reason: "the disk is full; nothing was written" })

  it("loses nothing that was appended, whichever call finds the disk full, and goes on when there is room again", async () => {
    const appends = runRecords(shape).map((record) => [record])
    for (let k = 0; ; k++) {
      let calls = 0
      const memory = makeMemoryDisk({
        before: ({ call, path }) =>
          (call === "write" || call === "sync") && calls++ === k ? Effect.fail(full(path)) : Effect.void,
        written: (bytes) => bytes >> 1
      })
      const done: Array<LedgerRecord> = []
      const write = Effect.flatMap(openLedger(directory, { segmentBytes: 1500 }), (ledger) =>
        Effect.forEach(appends, (records) =>
          ledger
            .append(records)
            .pipe(Effect.andThen(ledger.sync), Effect.andThen(Effect.sync(() => void done.push(...records))))
        )
      )
      const outcome = await on(memory, write)
      if (Result.isSuccess(outcome)) {
        expect(k).toBeGreaterThan(2 * appends.length)
        break
      }
      expect(outcome.failure).toMatchObject({ _tag: "StorageError", reason: /disk is full/ })
      memory.crash((unsynced) => unsynced)
      const { records } = await recovered(memory)
      // What was appended and whose sync failed may be there or not; all before is.
      expect([done.length, done.length + 1]).toContain(records.length)
      expect(records).toEqual(appends.flat().slice(0, records.length))
    }
  })

  it("takes the next append after a full disk as if nothing had been", async () => {
    let isFull = false
    const memory = makeMemoryDisk({
      before: ({ call, path }) => (isFull && call === "write" ? Effect.fail(full(path)) : Effect.void),
      written: (bytes) => bytes - 1
    })
    const [first, second] = [stepRecords(1, 0, shape), stepRecords(2, 1, shape)]
    const program = Effect.gen(function* () {
      const ledger = yield* openLedger(directory)
      yield* ledger.append(first)
      isFull = true
      const failed = yield* Effect.flip(ledger.append(second))
      isFull = false
      yield* ledger.append(second)
      return failed
    })
    expect(Result.getOrThrow(await on(memory, program))).toMatchObject({ _tag: "StorageError" })
    expect(await read(memory)).toEqual({ records: [...first, ...second], flaw: Option.none() })
  })

  it("writes no more once a sync has failed: nobody knows what the disk holds", async () => {
    let isBroken = false
    const memory = makeMemoryDisk({
      before: ({ call, path }) =>
        isBroken && call === "sync"
          ? Effect.fail(new StorageError({ path, reason: "input/output error" }))
          : Effect.void
    })
    const program = Effect.gen(function* () {
      const ledger = yield* openLedger(directory)
      isBroken = true
      const failed = yield* Effect.flip(ledger.sync)
      isBroken = false
      return [failed, yield* Effect.flip(ledger.append([])), yield* Effect.flip(ledger.sync)]
    })
    const [failed, ...later] = Result.getOrThrow(await on(memory, program))
    expect(failed).toMatchObject({ reason: "input/output error" })
    expect(later).toEqual([failed, failed])
  })

  it("after a loss of power at any moment has all that was synced, and of the rest a whole beginning", async () => {
    const ops = fc.array(
      fc.oneof({ weight: 3, arbitrary: fc.array(anyRecord, { maxLength: 3 }) }, fc.constant("sync" as const)),
      {
        maxLength: 12
      }
    )
    await fc.assert(
      fc.asyncProperty(
        ops,
        fc.nat(60),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(60, 500),
        async (ops, at, share, segmentBytes) => {
          let calls = 0
          const memory: MemoryDisk = makeMemoryDisk({
            before: () =>
              Effect.suspend(() => {
                if (calls++ === at) memory.crash((unsynced) => Math.floor(share * unsynced))
                return Effect.void
              })
          })
          const appended: Array<LedgerRecord> = []
          let durable = 0
          const step = (ledger: Ledger, op: (typeof ops)[number]) =>
            op === "sync"
              ? Effect.tap(ledger.sync, () => Effect.sync(() => (durable = appended.length)))
              : Effect.andThen(
                  Effect.sync(() => void appended.push(...op)),
                  ledger.append(op)
                )
          const write = Effect.flatMap(openLedger(directory, { segmentBytes }), (ledger) =>
            Effect.forEach(ops, (op) => step(ledger, op))
          )
          const outcome = await on(memory, write)
          if (Result.isSuccess(outcome)) memory.crash((unsynced) => Math.floor(share * unsynced))
          calls = at + 1
          const { records, said } = await recovered(memory)
          expect(records).toEqual(appended.slice(0, records.length))
          expect(records.length).toBeGreaterThanOrEqual(durable)
          expect(said.every((line) => line.includes("torn"))).toBe(true)
        }
      ),
      { numRuns: 300 }
    )
  })
})

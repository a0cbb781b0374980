/**
 * A segment of a ledger: a header, then frames. All numbers little-endian, unsigned, 32 bits.
 *
 *     header   "foretokn" | schema version | number of its first record | crc of the 16 bytes before
 *     frame    length of the payload | number of the record | crc of the 8 bytes before and the payload | payload
 *
 * Records are numbered through all segments of a run, so one that is missing, doubled or out of order shows. The checksum is
 * CRC-32 (zlib's). A length is compared with what is there and with `largestPayload` before anything is made of it.
 */
import { Result } from "effect"
import { crc32 } from "node:zlib"
import { currentVersion } from "./migrations.ts"

export const headerBytes = 20
const frameBytes = 12
export const largestPayload = 2 ** 26

const magic = new TextEncoder().encode("foretokn")

export const encodeHeader = (first: number): Uint8Array => {
  const bytes = new Uint8Array(headerBytes)
  const data = new DataView(bytes.buffer)
  bytes.set(magic)
  data.setUint32(8, currentVersion, true)
  data.setUint32(12, first, true)
  data.setUint32(16, crc32(bytes.subarray(0, 16)), true)
  return bytes
}

export interface Header {
  /** Of the schema; it may be one that this version does not know. */
  readonly version: number
  /** The number of the segment's first record. */
  readonly first: number
}

/** The header of a segment, or what is wrong with it. */
export const parseHeader = (bytes: Uint8Array): Result.Result<Header, string> => {
  if (bytes.length < headerBytes) return Result.fail(`a segment begins with ${headerBytes} bytes of header`)
  const data = viewOf(bytes)
  if (!magic.every((byte, i) => bytes[i] === byte)) return Result.fail("this is no segment of a ledger")
  if (data.getUint32(16, true) !== crc32(bytes.subarray(0, 16))) return Result.fail("the header's checksum is wrong")
  return Result.succeed({ version: data.getUint32(8, true), first: data.getUint32(12, true) })
}

/** Frames of payloads that are records `first`, `first + 1`, ..., one behind the other. */
export const encodeFrames = (payloads: ReadonlyArray<Uint8Array>, first: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(payloads.reduce((sum, { length }) => sum + frameBytes + length, 0))
  const data = viewOf(bytes)
  let at = 0
  for (const [i, payload] of payloads.entries()) {
    data.setUint32(at, payload.length, true)
    data.setUint32(at + 4, first + i, true)
    data.setUint32(at + 8, crc32(payload, crc32(bytes.subarray(at, at + 8))), true)
    bytes.set(payload, at + frameBytes)
    at += frameBytes + payload.length
  }
  return bytes
}

export interface Frame {
  readonly number: number
  /** A view: it is valid as long as the segment's bytes are. */
  readonly payload: Uint8Array
  /** Where the next frame begins. */
  readonly end: number
}

/** The frame at `at`, or what is wrong with it. */
export const frameAt = (bytes: Uint8Array, at: number): Result.Result<Frame, string> => {
  const left = bytes.length - at
  if (left < frameBytes) return Result.fail(`${left} bytes are left, a frame begins with ${frameBytes}`)
  const data = viewOf(bytes)
  const length = data.getUint32(at, true)
  if (length > largestPayload) return Result.fail(`a record of ${length} bytes, at most ${largestPayload} are written`)
  if (length > left - frameBytes) {
    return Result.fail(`a record of ${length} bytes is announced, ${left - frameBytes} are left`)
  }
  const payload = bytes.subarray(at + frameBytes, at + frameBytes + length)
  if (data.getUint32(at + 8, true) !== crc32(payload, crc32(bytes.subarray(at, at + 8)))) {
    return Result.fail("the record's checksum is wrong")
  }
  return Result.succeed({ number: data.getUint32(at + 4, true), payload, end: at + frameBytes + length })
}

/** Bytes whose checksums are computed in search of a whole frame: the search costs little, whatever it is given. */
const searchBudget = 2 ** 26

/** Where a whole frame begins behind `at`: what a torn end has not, and damage inside has. */
export const nextWhole = (bytes: Uint8Array, at: number): number | undefined => {
  const data = viewOf(bytes)
  let budget = searchBudget
  for (let next = at + 1; next + frameBytes <= bytes.length && budget > 0; next++) {
    const length = data.getUint32(next, true)
    // A record has at least its tag: what is empty is a run of zeros.
    if (length === 0 || length > bytes.length - next - frameBytes) continue
    budget -= length
    if (Result.isSuccess(frameAt(bytes, next))) return next
  }
  return undefined
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength)

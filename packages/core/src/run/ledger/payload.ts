/** The payload of a frame: one record as plain msgpack, which any msgpack reader of any language can open. */
import { Result, Schema } from "effect"
import { Packr, Unpackr } from "msgpackr"
import { checkMsgpack } from "./msgpack.ts"
import { migrate } from "./migrations.ts"
import { LedgerRecord } from "./records.ts"

// No extension of msgpackr's own: those are what a checker would have to trust.
const settings = { useRecords: false, mapsAsObjects: true, variableMapSize: true, moreTypes: false }
const packr = new Packr(settings)
const unpackr = new Unpackr(settings)

const toWire = Schema.encodeSync(LedgerRecord)
const fromWire = Schema.decodeUnknownResult(LedgerRecord)

export const encodeRecord = (record: LedgerRecord): Uint8Array => packr.pack(toWire(record))

/** The record of a payload that was written under schema `version`, or why it is none. */
export const decodeRecord = (payload: Uint8Array, version: number): Result.Result<LedgerRecord, string> => {
  const checked = checkMsgpack(payload)
  if (Result.isFailure(checked)) return Result.fail(checked.failure)
  // What has passed the check still can hold what msgpackr refuses.
  const unpacked = Result.try({ try: (): unknown => unpackr.unpack(payload), catch: String })
  if (Result.isFailure(unpacked)) return Result.fail(unpacked.failure)
  return Result.mapError(fromWire(migrate(unpacked.success, version)), ({ message }) =>
    message.replaceAll(/\s*\n\s*/g, " ")
  )
}

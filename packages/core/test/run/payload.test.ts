import { Result } from "effect"
import * as fc from "fast-check"
import { pack } from "msgpackr"
import { describe, expect, it } from "vitest"
import { currentVersion } from "../../src/run/ledger/migrations.ts"
import { checkMsgpack } from "../../src/run/ledger/msgpack.ts"
import { decodeRecord, encodeRecord } from "../../src/run/ledger/payload.ts"
import { anyRecord } from "./ledgerFixtures.ts"

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"))
const decode = (bytes: Uint8Array) => Result.getOrThrow(decodeRecord(bytes, currentVersion))
const refusal = (bytes: Uint8Array) => Result.getOrThrow(Result.flip(decodeRecord(bytes, currentVersion)))

describe("a record on the wire", () => {
  it("comes back as it was, bit for bit, from wherever it lies in memory", () => {
    fc.assert(
      fc.property(anyRecord, fc.nat(9), (record, shift) => {
        const payload = encodeRecord(record)
        const moved = new Uint8Array(shift + payload.length)
        moved.set(payload, shift)
        const back = decode(moved.subarray(shift))
        moved.fill(0)
        expect(back).toEqual(record)
        if (back._tag === "rollout" && record._tag === "rollout") {
          // toEqual takes one NaN for another.
          expect(Buffer.from(back.logprobs.buffer)).toEqual(Buffer.from(record.logprobs.slice().buffer))
        }
      }),
      { numRuns: 500 }
    )
  })

  it("is plain msgpack: the bytes that the specification gives", () => {
    // By hand: a map of 3, "_tag": "resumed", "step": 7, "policy": 64 characters.
    const policy = Buffer.from("0".repeat(63) + "3").toString("hex")
    const bytes = hex(`83 a45f746167 a7726573756d6564 a473746570 07 a6706f6c696379 d940${policy}`)
    expect(decode(bytes)).toEqual({ _tag: "resumed", step: 7, policy: `${"0".repeat(63)}3` })
    expect(Buffer.from(encodeRecord(decode(bytes)))).toEqual(Buffer.from(bytes))
  })

  it("is refused in one line where it is cut, goes on behind its end, or is no record", () => {
    fc.assert(
      fc.property(anyRecord, fc.double({ min: 0, max: 1, maxExcluded: true }), (record, share) => {
        const payload = encodeRecord(record)
        const cut = payload.subarray(0, Math.floor(share * payload.length))
        for (const bytes of [cut, Buffer.concat([payload, payload])]) expect(refusal(bytes)).toMatch(/^[^\n]+$/)
      })
    )
    for (const other of [null, 1, "text", [], {}, { _tag: "rollout" }, { _tag: "planted" }]) {
      expect(refusal(pack(other))).toMatch(/^[^\n]+$/)
    }
  })

  it("is not made of values that a record has no use for", () => {
    for (const bytes of [pack(new Date(0)), pack(undefined), hex("d4 01 00"), hex("c1")]) {
      expect(refusal(bytes)).toMatch(/^no record holds a value of msgpack type 0x/)
    }
  })
})

describe("plain msgpack", () => {
  const holds = (bytes: Uint8Array) => Result.isSuccess(checkMsgpack(bytes))

  it("passes whatever a packer makes of plain values, and none of its beginnings", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const bytes = pack(value)
        expect(holds(bytes)).toBe(true)
        for (let length = 0; length < bytes.length; length++) expect(holds(bytes.subarray(0, length))).toBe(false)
      })
    )
  })

  it("announces no more than is there", () => {
    // str 32, bin 32, array 32, map 32 of 2^32 - 1; array 16 and map 16 of 2^16 - 1.
    for (const type of ["db", "c6", "dd", "df"]) expect(holds(hex(`${type} ffffffff`))).toBe(false)
    for (const type of ["dc", "de"]) expect(holds(hex(`${type} ffff 00`))).toBe(false)
    expect(holds(hex("91".repeat(10_000)))).toBe(false)
    expect(holds(hex(`${"91".repeat(16)} 00`))).toBe(true)
    expect(holds(hex(`${"91".repeat(17)} 00`))).toBe(false)
  })
})

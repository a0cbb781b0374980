import type { LedgerRecord } from "./records.ts"

/**
 * The records that count: without those of steps that a later `resumed` has made void, and without the ends that were none. The
 * `resumed` records themselves stay, but for those that regained a step which is void.
 */
export const live = (records: ReadonlyArray<LedgerRecord>): ReadonlyArray<LedgerRecord> => {
  const kept: Array<LedgerRecord> = []
  let last = Infinity
  for (const record of records.toReversed()) {
    if (record._tag === "begun") kept.push(record)
    else if (record._tag === "resumed") {
      if (record.regained === undefined || record.step <= last) kept.push(record)
    } else if (record._tag === "ended" ? last === Infinity : record.step <= last) kept.push(record)
    if (record._tag === "resumed") last = Math.min(last, record.step)
  }
  return kept.toReversed()
}

/** Records of older schemas as records of the current one. A migration sees what msgpack gave: any value at all. */
import { Predicate } from "effect"

/** The schema that is written. Raise it with every change that an old reader or an old segment would not survive. */
export const currentVersion = 3

/** From a version to the next. */
const steps: Readonly<Record<number, (record: unknown) => unknown>> = {
  // Version 1 gave a reason for what could not be scored, but no kind to count it by.
  1: (record) => {
    if (!Predicate.isObject(record) || record["_tag"] !== "verdict") return record
    const { verdict } = record
    if (!Predicate.isObject(verdict) || verdict["_tag"] !== "Unscorable") return record
    return { ...record, verdict: { kind: "declined", ...verdict } }
  },
  // Version 3 has units set aside, and all that was there before.
  2: (record) => record
}

export const migrate = (record: unknown, version: number): unknown => {
  let migrated = record
  for (let at = version; at < currentVersion; at++) migrated = steps[at](migrated)
  return migrated
}

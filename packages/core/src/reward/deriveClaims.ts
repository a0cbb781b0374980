/** What follows for a combination from what its parts claim. Whatever does not follow is not claimed. */
import { outcomes } from "../prompt/Prediction.ts"
import { type Bounds, type Claims, noGains } from "./Claims.ts"

/** Of Σ weight · value. */
export const weighted = (terms: ReadonlyArray<readonly [weight: number, claims: Claims]>): Claims => {
  const shares = terms.map(([weight, { bounds }]) => scaled(weight, bounds))
  const rising = terms.filter(([weight]) => weight !== 0)
  const every = (holds: (claims: Claims) => boolean, otherwise: (share: Bounds) => boolean): boolean =>
    terms.every(([weight, claims], i) => (weight > 0 && holds(claims)) || otherwise(shares[i]))
  const neverAdds = ({ high }: Bounds) => high <= 0
  return {
    bounds: {
      low: shares.reduce((sum, { low }) => sum + low, 0),
      high: shares.reduce((sum, { high }) => sum + high, 0)
    },
    ...joint(terms.map(([, claims]) => claims)),
    prefix: prefix(
      every((claims) => claims.prefix.includes("sound"), neverAdds),
      // One term pays for every prefix, and no other takes it back.
      terms.some(
        ([weight, claims], i) =>
          weight > 0 && claims.prefix.includes("complete") && shares.every(({ low }, other) => other === i || low >= 0)
      )
    ),
    nothingFor: outcomes.filter((outcome) => every((claims) => claims.nothingFor.includes(outcome), neverAdds)),
    noGain: noGains.filter((edit) => rising.every(([weight, claims]) => weight > 0 && claims.noGain.includes(edit)))
  }
}

/** Of the value of `inner` where `condition` is above 0, else 0. */
export const gate = (condition: Claims, inner: Claims): Claims => ({
  ...gated(condition, inner, 0),
  prefix: prefix(
    [condition, inner].some((claims) => claims.prefix.includes("sound")),
    alwaysPays(condition) && alwaysPays(inner)
  ),
  nothingFor: outcomes.filter((outcome) => [condition, inner].some(({ nothingFor }) => nothingFor.includes(outcome)))
})

/** Of the value of `inner` where `condition` is above 0 for some rollout of the group, else `otherwise`. */
export const perGroup = (condition: Claims, inner: Claims, otherwise: number): Claims => ({
  ...gated(condition, inner, otherwise),
  // Another rollout may have opened the group, so what the condition says of its own rollout does not count.
  prefix: prefix(
    otherwise <= 0 && inner.prefix.includes("sound"),
    (otherwise > 0 || alwaysPays(condition)) && alwaysPays(inner)
  ),
  nothingFor: otherwise <= 0 ? inner.nothingFor : []
})

/** Of the value of `inner`, at least `low` and at most `high`. */
export const clamp = (inner: Claims, low: number, high: number): Claims => {
  const within = (value: number) => Math.min(high, Math.max(low, value))
  return {
    bounds: { low: within(inner.bounds.low), high: within(inner.bounds.high) },
    ...joint([inner]),
    prefix: prefix(low <= 0 && inner.prefix.includes("sound"), high > 0 && (low > 0 || alwaysPays(inner))),
    nothingFor: low <= 0 ? inner.nothingFor : [],
    noGain: inner.noGain
  }
}

const joint = (all: ReadonlyArray<Claims>): Pick<Claims, "deterministic" | "needsModel"> => ({
  deterministic: all.every(({ deterministic }) => deterministic),
  needsModel: all.some(({ needsModel }) => needsModel)
})

const prefix = (sound: boolean, complete: boolean): Claims["prefix"] => [
  ...(sound ? (["sound"] as const) : []),
  ...(complete ? (["complete"] as const) : [])
]

/** Above 0 for every prefix on a boundary. */
const alwaysPays = ({ prefix, bounds }: Claims): boolean => prefix.includes("complete") || bounds.low > 0

/** What holds of `inner` behind a gate, whichever way the gate is opened. */
const gated = (
  condition: Claims,
  inner: Claims,
  otherwise: number
): Pick<Claims, "bounds" | "deterministic" | "needsModel" | "noGain"> => ({
  bounds: { low: Math.min(otherwise, inner.bounds.low), high: Math.max(otherwise, inner.bounds.high) },
  ...joint([condition, inner]),
  // An edit that closes the gate must not be a gain: that is so where nothing is worth less than a closed gate.
  noGain:
    inner.bounds.low < otherwise
      ? []
      : noGains.filter((edit) => [condition, inner].every(({ noGain }) => noGain.includes(edit)))
})

/** 0 times anything is 0, infinite ends included. */
const scaled = (weight: number, { low, high }: Bounds): Bounds => {
  if (weight === 0) return { low: 0, high: 0 }
  return weight > 0 ? { low: weight * low, high: weight * high } : { low: weight * high, high: weight * low }
}

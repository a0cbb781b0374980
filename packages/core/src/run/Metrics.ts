import { Effect, Option, Predicate } from "effect"
import type { Scope } from "effect"
import { readWhole } from "../storage/Disk.ts"
import { StorageError } from "../storage/StorageError.ts"
import { openJsonLines } from "./JsonLines.ts"

/** The metrics of one step by name. Standard names are in `metricNames`; others are free, "/" groups them. */
export interface MetricsRow {
  readonly step: number
  readonly values: Readonly<Record<string, number>>
}

/** Names that mean the same in every run. */
export const metricNames = {
  /** Mean reward of the scored rollouts of the step. */
  rewardMean: "reward/mean",
  /** Estimated KL divergence (nats a token) between the policy that sampled and the one that was updated. */
  approxKl: "approx_kl",
  /** Share of completion tokens whose ratio was clipped. */
  clipfrac: "clipfrac",
  /** Mean entropy (nats) of the policy at the completion tokens. */
  entropy: "entropy",
  /** Updates between the policy that sampled and the one that learns. */
  policyAge: "policy_age"
} as const

/** metrics.jsonl, one line per step. */
export interface Metrics {
  /** The row that it goes on after, where there is one that can be read. */
  readonly last: Option.Option<MetricsRow>
  /** Appends the step's line; returns the names whose values were NaN or infinite, for someone to act on. */
  readonly append: (row: MetricsRow) => Effect.Effect<ReadonlyArray<string>, StorageError>
  /** All rows so far are durable once this returns. */
  readonly sync: Effect.Effect<void, StorageError>
}

/** Rows of steps after `through` are cut off: a run that goes on from that step makes them again. */
export const openMetrics = (
  path: string,
  through: number = Infinity
): Effect.Effect<Metrics, StorageError, Scope.Scope> =>
  Effect.map(openJsonLines(path, through), (lines) => ({
    last: Option.map(Option.filter(lines.last, Predicate.isObject), rowOf),
    append: (row) => Effect.as(lines.append([encodeMetrics(row)]), nonFiniteNames(row)),
    sync: lines.sync
  }))

const nonFiniteNames = ({ values }: MetricsRow): ReadonlyArray<string> =>
  Object.keys(values).filter((name) => !Number.isFinite(values[name]))

/**
 * `{ "step": 3, "reward/mean": 0.5, "approx_kl": null, "nonFinite": { "approx_kl": "NaN" } }`: JSON has no NaN, so it stands as
 * null and is named.
 */
export const encodeMetrics = (row: MetricsRow): Readonly<Record<string, unknown>> => {
  const reserved = Object.keys(row.values).find((name) => name === "step" || name === "nonFinite")
  if (reserved !== undefined) throw new TypeError(`a metric cannot be called "${reserved}"`)
  const nonFinite = nonFiniteNames(row)
  return {
    step: row.step,
    ...row.values, // JSON.stringify writes NaN and infinities as null
    ...(nonFinite.length > 0 && {
      nonFinite: Object.fromEntries(nonFinite.map((name) => [name, String(row.values[name])]))
    })
  }
}

/** Reads metrics.jsonl back, for reports and resumed runs; NaN and infinities are restored. */
export const readMetrics = (path: string): Effect.Effect<ReadonlyArray<MetricsRow>, StorageError> =>
  Effect.flatMap(readWhole(path, largestFile), (bytes) =>
    Effect.try({
      try: () => {
        const lines = new TextDecoder().decode(bytes).split("\n")
        return lines.slice(0, -1).map((line, i) => decodeMetrics(line, i + 1))
      },
      catch: (cause) => StorageError.of(path, cause)
    })
  )

/** A step has some 2 KB. */
const largestFile = 2 ** 30

const decodeMetrics = (line: string, number: number): MetricsRow => {
  try {
    return rowOf(JSON.parse(line))
  } catch {
    throw new Error(`line ${number} is not a line of metrics`)
  }
}

/** Of a line of JSON; what is no number there is NaN. */
const rowOf = ({ step, nonFinite, ...values }: Readonly<Record<PropertyKey, unknown>>): MetricsRow => {
  const spelled = Predicate.isObject(nonFinite) ? nonFinite : {}
  const numbers = Object.entries(values).map(([name, value]): [string, number] => [
    name,
    Number(value === null ? spelled[name] : value)
  ])
  return { step: Number(step), values: Object.fromEntries(numbers) }
}

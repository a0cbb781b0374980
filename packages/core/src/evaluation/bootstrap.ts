/**
 * Percentile bootstrap of a mean, resampling whole clusters. Positions of one document are not independent (one story,
 * one topic, one hidden state), so the document is the cluster; with a cluster of its own per sample it is the plain
 * bootstrap. Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8 and 13.
 *
 *   estimate = Σ values / count;   low, high = quantiles (1 -+ level)/2 of the estimates of resampled cluster lists
 *
 * Resampling is counter-based: the same seed and clusters give the same interval, anywhere. When every value is the
 * same the interval has no width: the bootstrap cannot see what never happened.
 */
import { stream, wordsOf } from "../random/draw.ts"

export interface Sample {
  /** The document this value comes from. */
  readonly cluster: string
  readonly value: number
}

/** All three numbers are NaN (null in JSON) where there is no sample. */
export interface Interval {
  readonly estimate: number
  readonly low: number
  readonly high: number
  readonly count: number
  readonly clusters: number
}

export interface BootstrapSettings {
  readonly seed: number
  /** Default 1000. */
  readonly resamples?: number
  /** Default 0.95. */
  readonly level?: number
}

/** The mean of `samples` with its interval. */
export const meanInterval = (samples: ReadonlyArray<Sample>, settings: BootstrapSettings): Interval => {
  const totals = totalsByCluster(samples)
  return interval([...totals.values()], samples.length, settings, (picked) => meanOf(picked))
}

/**
 * mean(a) - mean(b) with its interval, paired by document: each resample draws the same documents for both arms, so
 * what makes a document hard cancels out. The arms need not cover the same positions of a document.
 */
export const pairedDifference = (
  a: ReadonlyArray<Sample>,
  b: ReadonlyArray<Sample>,
  settings: BootstrapSettings
): Interval => {
  const left = totalsByCluster(a)
  const right = totalsByCluster(b)
  const pairs = [...new Set([...left.keys(), ...right.keys()])].map((id) => ({
    left: left.get(id) ?? nothing,
    right: right.get(id) ?? nothing
  }))
  return interval(
    pairs,
    a.length + b.length,
    settings,
    (picked) => meanOf(picked.map((pair) => pair.left)) - meanOf(picked.map((pair) => pair.right))
  )
}

interface Total {
  readonly sum: number
  readonly count: number
}

const nothing: Total = { sum: 0, count: 0 }

const totalsByCluster = (samples: ReadonlyArray<Sample>): ReadonlyMap<string, Total> => {
  const totals = new Map<string, Total>()
  for (const { cluster, value } of samples) {
    const { sum, count } = totals.get(cluster) ?? nothing
    totals.set(cluster, { sum: sum + value, count: count + 1 })
  }
  return totals
}

const meanOf = (totals: ReadonlyArray<Total>): number => {
  let sum = 0
  let count = 0
  for (const total of totals) {
    sum += total.sum
    count += total.count
  }
  return sum / count
}

const interval = <Cluster>(
  clusters: ReadonlyArray<Cluster>,
  count: number,
  { seed, resamples = 1000, level = 0.95 }: BootstrapSettings,
  statistic: (clusters: ReadonlyArray<Cluster>) => number
): Interval => {
  const source = stream(seed, ["bootstrap"])
  const n = clusters.length
  const estimates = Float64Array.from({ length: n === 0 ? 0 : resamples }, (_, resample) =>
    statistic(Array.from(wordsOf(source, n, resample * n), (word) => clusters[Math.floor((word * n) / 2 ** 32)]))
  )
  // A resample may miss an arm of a paired difference altogether; it says nothing then.
  const sorted = estimates.filter((estimate) => !Number.isNaN(estimate)).toSorted()
  return {
    estimate: statistic(clusters),
    low: quantile(sorted, (1 - level) / 2),
    high: quantile(sorted, (1 + level) / 2),
    count,
    clusters: n
  }
}

/** Linear interpolation between order statistics (type 7 of Hyndman & Fan); NaN of nothing. */
const quantile = (sorted: Float64Array, q: number): number => {
  const position = q * (sorted.length - 1)
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted.length === 0 ? NaN : sorted[below] + (sorted[above] - sorted[below]) * (position - below)
}

/**
 * Next-token accuracy by difficulty, as in Table 1 of RPT (arXiv 2506.08007). The paper's splits are nested ("entropy
 * exceeds 0.5 / 1.0 / 1.5"): easy holds medium holds hard. The disjoint bins beside them show what each adds.
 */
import { type BootstrapSettings, type Interval, meanInterval, type Sample } from "./bootstrap.ts"

/** One position of a held-out document and whether the prediction there was right. */
export interface PositionRecord {
  readonly documentId: string
  /** Nats, of the proxy that judges difficulty; the same for every arm that is compared. */
  readonly entropy: number
  readonly correct: boolean
  /** What kind of position it is, e.g. "computed". */
  readonly tags: ReadonlyArray<string>
}

/** Accuracy over the positions with from < entropy <= to (and the tag, where one is named). */
export interface AccuracyRow extends Interval {
  readonly name: string
  readonly from: number
  readonly to: number
}

export interface AccuracyTable {
  readonly all: AccuracyRow
  /** One row per threshold: entropy above it. */
  readonly nested: ReadonlyArray<AccuracyRow>
  /** Up to the first threshold, between neighbours, above the last. */
  readonly disjoint: ReadonlyArray<AccuracyRow>
  /** One row per tag, in alphabetical order. */
  readonly tags: ReadonlyArray<AccuracyRow>
}

/** The paper's thresholds in nats: easy, medium, hard. */
export const paperThresholds: ReadonlyArray<number> = [0.5, 1, 1.5]

/** The accuracy table of `records`, with bootstrap intervals over documents. `thresholds` (nats) ascend. */
export const accuracyTable = (
  records: ReadonlyArray<PositionRecord>,
  settings: BootstrapSettings,
  thresholds: ReadonlyArray<number> = paperThresholds
): AccuracyTable => {
  const row = (name: string, from: number, to: number, tag?: string): AccuracyRow => {
    const chosen = records.filter(
      ({ entropy, tags }) => entropy > from && entropy <= to && (tag === undefined || tags.includes(tag))
    )
    return { name, from, to, ...meanInterval(samples(chosen), settings) }
  }
  const edges = [-Infinity, ...thresholds, Infinity]
  const tags = [...new Set(records.flatMap((record) => record.tags))].toSorted()
  return {
    all: row("all", -Infinity, Infinity),
    nested: thresholds.map((threshold) => row(`entropy > ${threshold}`, threshold, Infinity)),
    disjoint: edges.slice(1).map((to, i) => row(binName(edges[i], to), edges[i], to)),
    tags: tags.map((tag) => row(tag, -Infinity, Infinity, tag))
  }
}

/** Records as bootstrap samples: value 1 where correct, the document as cluster. */
export const samples = (records: ReadonlyArray<PositionRecord>): ReadonlyArray<Sample> =>
  records.map(({ documentId, correct }) => ({ cluster: documentId, value: correct ? 1 : 0 }))

const binName = (from: number, to: number): string => {
  if (from === -Infinity) return to === Infinity ? "all" : `entropy <= ${to}`
  return to === Infinity ? `entropy > ${from}` : `${from} < entropy <= ${to}`
}

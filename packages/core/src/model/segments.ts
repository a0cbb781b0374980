/** Tokens that a segment samples at most: few enough that its keys are cheap to grow, enough that there are few runs. */
const longest = 16

/** The tokens of a completion cut into segments of about equal length. */
export const segmentLengths = (maxTokens: number): ReadonlyArray<number> => {
  const count = Math.ceil(maxTokens / longest)
  return Array.from({ length: count }, (_, i) => Math.ceil((maxTokens - i) / count))
}

/** The branches [D,B] that a segment decodes. */
export interface Rows {
  readonly documents: number
  /** [D,B] the rollout that each is, counted over all of the request */
  readonly origin: Int32Array
  /** [D,B] its place among the branches of its document in the segment before */
  readonly kept: Int32Array
  /** [D,B] 1 where nobody waits for it: it has finished, or fills a row up */
  readonly done: Uint8Array
}

/** All rollouts of a request, in their order. */
export const allRows = (documents: number, count: number): Rows => ({
  documents,
  origin: Int32Array.from({ length: count }, (_, row) => row),
  kept: Int32Array.from({ length: count }, (_, row) => row % (count / documents)),
  done: new Uint8Array(count)
})

/**
 * The rows that are worth decoding on. B stays until at most half of any document's branches go on, then it is halved,
 * and again: so few shapes are compiled.
 */
export const rowsLeft = (rows: Rows, hasEnded: (rollout: number) => boolean): Rows => {
  const { documents, origin } = rows
  const before = origin.length / documents
  const places = Array.from({ length: before }, (_, place) => place)
  const isDone = (row: number) => rows.done[row] === 1 || hasEnded(origin[row])
  const going = Array.from({ length: documents }, (_, d) => places.filter((b) => !isDone(d * before + b)))
  const most = Math.max(...going.map((own) => own.length))
  let branches = before
  while (branches >= 2 && most <= Math.ceil(branches / 2)) branches = Math.ceil(branches / 2)
  if (branches === before) {
    const kept = Int32Array.from(origin, (_, row) => row % before)
    return { documents, origin, kept, done: Uint8Array.from(origin, (_, row) => (isDone(row) ? 1 : 0)) }
  }
  const kept = going.flatMap((own) => Array.from({ length: branches }, (_, b) => own[b] ?? 0))
  const document = (row: number) => Math.floor(row / branches)
  return {
    documents,
    origin: Int32Array.from(kept, (place, row) => origin[document(row) * before + place]),
    kept: Int32Array.from(kept),
    done: Uint8Array.from(kept, (_, row) => (row % branches < going[document(row)].length ? 0 : 1))
  }
}

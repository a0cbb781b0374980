/** Tokens that a segment samples at most: few enough that its keys are cheap to grow, enough that there are few runs. */
const longest = 16

/** The tokens of a completion, a segment at a time: the last one has what is left. */
export const segmentLengths = (maxTokens: number): ReadonlyArray<number> =>
  Array.from({ length: Math.ceil(maxTokens / longest) }, (_, i) => Math.min(longest, maxTokens - i * longest))

/** So few keys of earlier tokens go along with those of a segment instead of standing beside them as another set. */
export const fewKeys = 16

/** Tokens `from` to `to` (not among them) of a branch. */
export interface Stretch {
  readonly from: number
  readonly to: number
}

/** A branch that is read in one. */
export const inOne = (length: number): ReadonlyArray<Stretch> => [{ from: 0, to: length }]

/**
 * A branch of `length` tokens, the first `given` of them a tail, as it was decoded: the tokens of a stretch see each other's keys in one
 * set, and those before them in another. Whoever reads it so rounds as the sampler did.
 */
export const asDecoded = (given: number, length: number): ReadonlyArray<Stretch> => {
  // The last token of a segment leaves its keys to the next one.
  const segments = Array.from({ length: Math.ceil(length / longest) }, (_, i) => given - 1 + (i + 1) * longest)
  const starts = [0, ...[given, ...segments].filter((start) => start > fewKeys && start < length)]
  return starts.map((from, i) => ({ from, to: starts[i + 1] ?? length }))
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

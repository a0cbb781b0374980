/**
 * What a completion turned out to predict. Exactly one of five outcomes; the four failures stay apart even where a
 * reward gives all of them 0, because each is cured differently (longer limit, format warm-up, another template).
 */
export type Prediction = Answered | Truncated | NoBox | Malformed | Empty

/** An answer of at least one byte: `bytes` verbatim, never trimmed, decoded or normalised. */
export interface Answered {
  readonly outcome: "answered"
  readonly bytes: Uint8Array
}

/** The thought never ended: no think-end marker in the completion. */
export interface Truncated {
  readonly outcome: "truncated"
}

/** The thought ended and nothing after it opens an answer. */
export interface NoBox {
  readonly outcome: "no-box"
}

/** An answer was opened and never closed. */
export interface Malformed {
  readonly outcome: "malformed"
}

/** An answer of zero bytes. */
export interface Empty {
  readonly outcome: "empty"
}

/** The names on the wire: JSON of `foretoken reward score`, samples.jsonl, metric suffixes. */
export type Outcome = Prediction["outcome"]

export const outcomes: ReadonlyArray<Outcome> = ["answered", "truncated", "no-box", "malformed", "empty"]

export const truncated: Truncated = { outcome: "truncated" }
export const noBox: NoBox = { outcome: "no-box" }
export const malformed: Malformed = { outcome: "malformed" }
export const empty: Empty = { outcome: "empty" }

/** The closed answer `bytes`: `answered`, or `empty` when there is nothing in it. */
export const closed = (bytes: Uint8Array): Answered | Empty =>
  bytes.length === 0 ? empty : { outcome: "answered", bytes }

/** What was measured several times. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** At least one value. */
export const spreadOf = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2
  return { median, min: sorted[0], max: sorted[sorted.length - 1] }
}

/**
 * How hard a position is: the entropy of a model's distribution over the next token, in nats.
 *
 *   full                 H   = -sum_v p_v ln p_v
 *   top-k, as it stands  H_k = -sum_{v in top k} p_v ln p_v
 *   top-k, renormalised  the same with p_v / sum_{u in top k} p_u
 *
 * Source: RPT (2506.08007) filters by "the entropy over the top-16 next tokens" and does not say whether these are
 * renormalised, so both are here, and `describe` says which one was used.
 */

/** Which entropy. `k` is at least 1; beyond the vocabulary it is the vocabulary. */
export type Entropy =
  | { readonly _tag: "Full" }
  | { readonly _tag: "TopK"; readonly k: number; readonly renormalised: boolean }

export const full: Entropy = { _tag: "Full" }

export const topK = (k: number, options: { readonly renormalised: boolean }): Entropy => ({
  _tag: "TopK",
  k,
  renormalised: options.renormalised
})

/** The paper's: the 16 likeliest next tokens, renormalised. */
export const top16: Entropy = topK(16, { renormalised: true })

/** One line for logs and manifests. */
export const describe = (kind: Entropy): string =>
  kind._tag === "Full"
    ? "entropy (nats)"
    : `entropy of the top ${kind.k} tokens, ${kind.renormalised ? "renormalised" : "not renormalised"} (nats)`

/** The entropy in nats of one row of log-probabilities, shape [V]. Minus infinity counts as probability 0. */
export function entropy(logProbs: ArrayLike<number>, kind: Entropy): number {
  const terms = kind._tag === "Full" ? Array.from(logProbs) : largest(logProbs, kind.k)
  let mass = 0
  let raw = 0
  for (const logProb of terms) {
    if (logProb === -Infinity) continue
    mass += Math.exp(logProb)
    raw -= Math.exp(logProb) * logProb
  }
  // With q = p / mass: -sum q ln q = (-sum p ln p) / mass + ln mass. The maximum takes a rounding -1e-17 to 0.
  return kind._tag === "TopK" && kind.renormalised ? Math.max(0, raw / mass + Math.log(mass)) : Math.max(0, raw)
}

/** The value below which a share `q` in [0, 1] of the values lies, interpolated linearly between ranks (numpy's default). */
export function quantile(values: ArrayLike<number>, q: number): number {
  if (values.length === 0) throw new RangeError("the quantile of no values")
  if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile lies in 0 .. 1, not ${q}`)
  const sorted = Float64Array.from(values).toSorted()
  const rank = q * (sorted.length - 1)
  const below = Math.floor(rank)
  const above = Math.ceil(rank)
  return sorted[below] + (rank - below) * (sorted[above] - sorted[below])
}

/** The k largest values, by insertion into a short sorted list: one pass, k is small. */
function largest(values: ArrayLike<number>, k: number): Float64Array {
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`top-k entropy needs an integer k of at least 1, not ${k}`)
  const top = new Float64Array(Math.min(k, values.length)).fill(-Infinity)
  for (let v = 0; v < values.length; v++) {
    const value = values[v]
    if (value <= top[top.length - 1]) continue
    let i = top.length - 1
    for (; i > 0 && top[i - 1] < value; i--) top[i] = top[i - 1]
    top[i] = value
  }
  return top
}

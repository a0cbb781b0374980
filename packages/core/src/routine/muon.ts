/**
 * Muon: momentum whose update is replaced by the nearest (semi-)orthogonal matrix.
 *
 *   b <- beta b + (1 - beta) g
 *   u  = (1 - beta) g + beta b   (Nesterov)   or   b
 *   O  = NewtonSchulz(u)                      singular values of u, all pulled near 1
 *   p <- p (1 - lr wd) - lr sqrt(max(1, rows / columns)) O
 *
 * Newton-Schulz: X = u / |u|_F, transposed where it has more rows than columns; five times
 * X <- a X + (b A + c A A) X with A = X X^T; transposed back. It is a tensor program on a backend (optim/orthogonalize.ts);
 * the rest is here as plain loops, in float64 rounded once.
 *
 * Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", kellerjordan.github.io/posts/muon, 2024;
 * momentum as in his code and torch.optim.Muon.
 */

export interface Muon {
  readonly learningRate: number
  readonly momentum: number
  readonly nesterov: boolean
  /** Decay per update, as a multiple of the learning rate. */
  readonly weightDecay: number
}

export const muonDefaults: Muon = { learningRate: 0.02, momentum: 0.95, nesterov: true, weightDecay: 0 }

/** a, b, c of a step, tuned so that small singular values grow fast and all (from 0.01 of the norm on) end within 0.68 to 1.14. */
export const newtonSchulz = { coefficients: [3.4445, -4.775, 2.0315], steps: 5, eps: 1e-7 } as const

/** Muon is for the matrices inside the layers; embeddings (of tokens and positions), the output head, norms and biases go to AdamW. */
export const muonApplies = (name: string, shape: ReadonlyArray<number>): boolean =>
  shape.length === 2 && !/(^|\.)(embed_tokens|wte|wpe|lm_head)\.weight$/.test(name)

/**
 * Moves the momentum `buffer` in place and writes the matrix that is to be orthogonalised to `direction`, which may be
 * `grad` itself. The gradient is multiplied by `scale` first, and rounded, as if clipping had stored it.
 */
export const muonDirection = (
  grad: Float32Array,
  buffer: Float32Array,
  direction: Float32Array,
  { momentum, nesterov }: Pick<Muon, "momentum" | "nesterov">,
  scale: number
): void => {
  if (buffer.length !== grad.length || direction.length !== grad.length) {
    throw new RangeError(`Muon needs equal lengths: ${grad.length}, ${buffer.length}, ${direction.length}`)
  }
  for (let i = 0; i < grad.length; i++) {
    const part = (1 - momentum) * Math.fround(scale * grad[i])
    const moved = momentum * buffer[i] + part
    buffer[i] = moved
    direction[i] = nesterov ? part + momentum * moved : moved
  }
}

/** Keeps the root-mean-square of the update the same for tall and wide matrices. */
export const muonRate = (rows: number, columns: number): number => Math.sqrt(Math.max(1, rows / columns))

/** Moves `param` [rows, columns] in place along the orthogonalised direction of the same shape. */
export const muonApply = (
  param: Float32Array,
  orthogonal: Float32Array,
  [rows, columns]: readonly [rows: number, columns: number],
  { learningRate, weightDecay }: Pick<Muon, "learningRate" | "weightDecay">
): void => {
  if (param.length !== rows * columns || orthogonal.length !== rows * columns) {
    throw new RangeError(
      `Muon needs matrices of ${rows} x ${columns}, got ${param.length} and ${orthogonal.length} elements`
    )
  }
  const keep = 1 - learningRate * weightDecay
  const rate = learningRate * muonRate(rows, columns)
  for (let i = 0; i < param.length; i++) param[i] = keep * param[i] - rate * orthogonal[i]
}

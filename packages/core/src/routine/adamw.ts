/**
 * AdamW: Adam with decoupled weight decay.
 *
 *   p <- p (1 - lr wd)
 *   m <- beta1 m + (1 - beta1) g
 *   v <- beta2 v + (1 - beta2) g^2
 *   p <- p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)        t = 1, 2, ...
 *
 * Source: Loshchilov and Hutter, "Decoupled weight decay regularization", arXiv 1711.05101, algorithm 2, with the decay
 * scaled by the learning rate as in torch.optim.AdamW. Everything is computed in float64 and rounded once, when it is stored:
 * equal inputs give equal bits, and elements do not depend on each other.
 */

export interface AdamW {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  /** Decay per update, as a multiple of the learning rate. */
  readonly weightDecay: number
}

export const adamwDefaults: AdamW = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }

/**
 * One update, in place: `param`, `m` and `v` change; all four arrays have the same length. `step` counts updates from 1.
 * A plain loop over typed arrays: it beats the same update as an ONNX graph.
 */
export const adamw = (
  param: Float32Array,
  grad: Float32Array,
  m: Float32Array,
  v: Float32Array,
  { learningRate, beta1, beta2, eps, weightDecay, step }: AdamW & { readonly step: number }
): void => {
  const length = param.length
  if (grad.length !== length || m.length !== length || v.length !== length) {
    throw new RangeError(
      `AdamW needs equal lengths: param ${length}, grad ${grad.length}, m ${m.length}, v ${v.length}`
    )
  }
  if (!(Number.isSafeInteger(step) && step >= 1)) throw new RangeError(`AdamW counts its steps from 1, not ${step}`)
  const keep = 1 - learningRate * weightDecay
  const rate = learningRate / (1 - beta1 ** step)
  const correction = 1 / (1 - beta2 ** step)
  const rest1 = 1 - beta1
  const rest2 = 1 - beta2
  for (let i = 0; i < length; i++) {
    const g = grad[i]
    const first = beta1 * m[i] + rest1 * g
    const second = beta2 * v[i] + rest2 * g * g
    m[i] = first
    v[i] = second
    param[i] = keep * param[i] - (rate * first) / (Math.sqrt(second * correction) + eps)
  }
}

/** Decay pulls matrices towards zero; gains of norms and biases (one axis) are left alone, as is usual. */
export const decays = (shape: ReadonlyArray<number>): boolean => shape.length >= 2

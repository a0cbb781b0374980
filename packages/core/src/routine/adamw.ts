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

/** What one update multiplies by and adds, all of it f64. */
export interface AdamWNumbers {
  /** Of gradients: they are multiplied by it first, and rounded, as if clipping had stored them. */
  readonly scale: number
  readonly beta1: number
  readonly rest1: number
  readonly beta2: number
  readonly rest2: number
  readonly keep: number
  readonly rate: number
  readonly correction: number
  readonly eps: number
}

/** `step` counts updates from 1. */
export const adamwNumbers = (
  { learningRate, beta1, beta2, eps, weightDecay }: AdamW,
  step: number,
  scale: number
): AdamWNumbers => {
  if (!(Number.isSafeInteger(step) && step >= 1)) throw new RangeError(`AdamW counts its steps from 1, not ${step}`)
  return {
    scale,
    beta1,
    rest1: 1 - beta1,
    beta2,
    rest2: 1 - beta2,
    keep: 1 - learningRate * weightDecay,
    rate: learningRate / (1 - beta1 ** step),
    correction: 1 / (1 - beta2 ** step),
    eps
  }
}

/** What an update works on: `param`, `m` and `v` change. All have the same length. */
export interface AdamWArrays {
  readonly param: Float32Array
  readonly grad: Float32Array
  readonly m: Float32Array
  readonly v: Float32Array
}

export const checkLengths = ({ param, grad, m, v }: AdamWArrays): void => {
  const { length } = param
  if (grad.length !== length || m.length !== length || v.length !== length) {
    throw new RangeError(
      `AdamW needs equal lengths: param ${length}, grad ${grad.length}, m ${m.length}, v ${v.length}`
    )
  }
}

/** One update, in place, as a plain loop: what `simd/` is held to, bit for bit. */
export const adamw = (arrays: AdamWArrays, numbers: AdamWNumbers): void => {
  checkLengths(arrays)
  const { param, grad, m, v } = arrays
  const { scale, beta1, rest1, beta2, rest2, keep, rate, correction, eps } = numbers
  for (let i = 0; i < param.length; i++) {
    const g = Math.fround(scale * grad[i])
    const first = beta1 * m[i] + rest1 * g
    const second = beta2 * v[i] + rest2 * g * g
    m[i] = first
    v[i] = second
    param[i] = keep * param[i] - (rate * first) / (Math.sqrt(second * correction) + eps)
  }
}

/** Decay pulls matrices towards zero; gains of norms and biases (one axis) are left alone, as is usual. */
export const decays = (shape: ReadonlyArray<number>): boolean => shape.length >= 2

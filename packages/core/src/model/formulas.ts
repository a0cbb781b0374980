import type { Tensor } from "../tensor/Tensor.ts"

/** (x - mean) / sqrt(variance + eps) * weight + bias along the last axis (Ba et al. 2016); the variance is that of the row. */
export const layerNorm = (x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor => {
  const centred = x.sub(x.mean(-1, true))
  const deviation = centred.square().mean(-1, true).add(eps).rsqrt()
  return centred.mul(deviation).mul(weight).add(bias)
}

/** x Φ(x) (Hendrycks and Gimpel 2016): as it is, or with the hyperbolic tangent that GPT-2 was trained with. */
export const gelu = (x: Tensor, by: "exact" | "tanh"): Tensor => {
  if (by === "exact") {
    const tail = erfc(x.abs().mul(Math.SQRT1_2)).mul(0.5)
    return x.mul(x.less(0).select(tail, tail.neg().add(1)))
  }
  const inner = x.add(x.square().mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI))
  return x.mul(0.5).mul(inner.tanh().add(1))
}

/**
 * 1 - erf(z) for z >= 0, off by at most 1.2e-7 of itself, as much as f32 rounds: t exp(-z² + polynomial in t),
 * t = 1 / (1 + z/2). The coefficients, of t⁰ first, are those of Numerical Recipes (Press et al. 1992), section 6.2.
 */
const erfc = (z: Tensor): Tensor => {
  const coefficients = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277
  ]
  const t = z.mul(0.5).add(1).reciprocal()
  const last = coefficients.length - 1
  const polynomial = coefficients
    .slice(0, last - 1)
    .reduceRight(
      (sum, coefficient) => t.mul(sum).add(coefficient),
      t.mul(coefficients[last]).add(coefficients[last - 1])
    )
  return polynomial.sub(z.square()).exp().mul(t)
}

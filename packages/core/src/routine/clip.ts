/**
 * Clipping by global norm: all gradients are scaled by min(1, maxNorm / norm), norm the 2-norm over all their elements.
 * Source: Pascanu et al., "On the difficulty of training recurrent neural networks", arXiv 1211.5063.
 */

/**
 * Norm over all elements, before any clipping. Summed in float64 in the order given: give the gradients in a fixed order and
 * equal gradients give equal bits. NaN or Infinity where an element is.
 */
export const globalNorm = (gradients: Iterable<Float32Array>): number => {
  let sum = 0
  for (const gradient of gradients) {
    for (let i = 0; i < gradient.length; i++) sum += gradient[i] * gradient[i]
  }
  return Math.sqrt(sum)
}

/** What clipping found. A gradient with NaN or Infinity has no direction: it is left as it is, and the update is to be skipped. */
export type Clipped =
  | { readonly _tag: "finite"; readonly norm: number; readonly scale: number }
  | { readonly _tag: "non-finite"; readonly norm: number }

/** Scales the gradients in place so that their global norm is at most `maxNorm`. `norm` is the one before. */
export const clipGlobalNorm = (gradients: ReadonlyArray<Float32Array>, maxNorm: number): Clipped => {
  if (!(maxNorm > 0)) throw new RangeError(`the largest gradient norm must be positive, not ${maxNorm}`)
  const norm = globalNorm(gradients)
  if (!Number.isFinite(norm)) return { _tag: "non-finite", norm }
  if (norm <= maxNorm) return { _tag: "finite", norm, scale: 1 }
  const scale = maxNorm / norm
  for (const gradient of gradients) {
    for (let i = 0; i < gradient.length; i++) gradient[i] *= scale
  }
  return { _tag: "finite", norm, scale }
}

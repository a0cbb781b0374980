/**
 * Clipping by global norm: all gradients are scaled by min(1, maxNorm / norm), norm the 2-norm over all their elements.
 * Source: Pascanu et al., "On the difficulty of training recurrent neural networks", arXiv 1211.5063.
 */

/** Sums that an array is added up in, side by side: element i goes to the one of i mod `lanes`. */
export const lanes = 8

/** The sums of all lanes, in this order. */
export const sumOfLanes = ([a, b, c, d, e, f, g, h]: Float64Array): number => a + b + (c + d) + (e + f + (g + h))

/** Squares added up in float64, in lanes, as a plain loop: what `simd/` is held to, bit for bit. */
export const sumOfSquares = (array: Float32Array): number => {
  const sums = new Float64Array(lanes)
  for (let i = 0; i < array.length; i++) sums[i % lanes] += array[i] * array[i]
  return sumOfLanes(sums)
}

/**
 * Norm over all elements, before any clipping. The sums of arrays are added up in float64 in the order given: give the gradients in
 * a fixed order and equal gradients give equal bits. NaN or Infinity where an element is.
 */
export const globalNorm = (gradients: Iterable<Float32Array>, ofOne = sumOfSquares): number => {
  let sum = 0
  for (const gradient of gradients) sum += ofOne(gradient)
  return Math.sqrt(sum)
}

/** What gradients of this norm are multiplied by so that it is at most `maxNorm`. A norm that is not finite gives no direction, and is for the caller to see. */
export const clipScale = (norm: number, maxNorm: number): number => {
  if (!(maxNorm > 0)) throw new RangeError(`the largest gradient norm must be positive, not ${maxNorm}`)
  return norm > maxNorm ? maxNorm / norm : 1
}

/**
 * Philox4x32-10: 128 counter bits and 64 key bits in, 128 random bits out, no state in between.
 *
 *   ten rounds of  (c0, c1, c2, c3) -> (hi(M1·c2) ^ c1 ^ k0, lo(M1·c2), hi(M0·c0) ^ c3 ^ k1, lo(M0·c0))
 *   the key moves by the Weyl constants (W0, W1) between rounds
 *
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Random123). The published test vectors
 * are golden tests.
 */

/** Four 32-bit words, each as an unsigned integer in [0, 2^32). */
export type Block = readonly [number, number, number, number]

const M0 = 0xd2511f53
const M1 = 0xcd9e8d57
const W0 = 0x9e3779b9
const W1 = 0xbb67ae85

/** Writes the four words of the block `(c0, c1, c2, c3)` under the key `(k0, k1)` to `out[offset .. offset + 4)`. */
export function fill(
  out: Uint32Array,
  offset: number,
  k0: number,
  k1: number,
  c0: number,
  c1: number,
  c2: number,
  c3: number
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(M0, c0)
    const low0 = Math.imul(M0, c0)
    const high1 = multiplyHigh(M1, c2)
    const low1 = Math.imul(M1, c2)
    c0 = high1 ^ c1 ^ k0
    c1 = low1
    c2 = high0 ^ c3 ^ k1
    c3 = low0
    k0 = (k0 + W0) | 0
    k1 = (k1 + W1) | 0
  }
  out[offset] = c0
  out[offset + 1] = c1
  out[offset + 2] = c2
  out[offset + 3] = c3
}

/** The block of random words at `counter` under `key`; words beyond 32 bits are taken modulo 2^32. */
export function block(key: readonly [number, number], counter: Block): Block {
  const out = new Uint32Array(4)
  fill(out, 0, key[0] | 0, key[1] | 0, counter[0] | 0, counter[1] | 0, counter[2] | 0, counter[3] | 0)
  return [out[0], out[1], out[2], out[3]]
}

/** The upper 32 bits of the 64-bit product of two 32-bit words, in 16-bit halves: doubles hold only 53 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const carry = (middle & 0xffff) + aLow * bHigh
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) | 0
}

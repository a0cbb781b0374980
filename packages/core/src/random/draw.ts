/**
 * Draws as pure functions of (seed, path, position). No generator state travels between actors: the draw that a sampler
 * makes for token 7 of rollout 3 of a problem can be re-made anywhere, any time, alone.
 *
 * A path names what the draw is for, from the general to the particular: `["rollout", problemId, 3]`. It is absorbed into
 * 128 bits with Philox itself, one block per element; 64 of these bits become the key of the stream, 64 the upper half
 * of its counter, and the position is the lower half. So two different paths share draws only if 128 bits collide.
 */
import { fill } from "./Philox.ts"

/** What a draw is for. Numbers are safe integers (indices, steps, epochs); strings are names and ids. */
export type Path = ReadonlyArray<number | string>

/** A sequence of random 32-bit words that is addressed by position: 128 bits, plain data. */
export interface Stream {
  readonly key: readonly [number, number]
  readonly counter: readonly [number, number]
}

/** The stream of `path` under `seed` (a safe integer). Throws RangeError on a number that is no safe integer. */
export function stream(seed: number, path: Path): Stream {
  const state = new Uint32Array(4)
  const [seedLow, seedHigh] = words(seed, "seed")
  const absorb = (tag: number, a: number, b: number) =>
    fill(state, 0, seedLow, seedHigh, state[0] ^ a, state[1] ^ b, state[2] ^ tag, state[3])
  for (const element of path) {
    if (typeof element === "number") absorb(1, ...words(element, "path element"))
    else absorb(2, fnv1a(element, 0x811c9dc5), fnv1a(element, 0x3c6ef372))
  }
  absorb(3, path.length, 0)
  return { key: [state[0], state[1]], counter: [state[2], state[3]] }
}

/** `count` words of the stream from position `from` on. The word at a position does not depend on `from` or `count`. */
export function wordsOf(source: Stream, count: number, from = 0): Uint32Array {
  const firstBlock = Math.floor(from / 4)
  const blocks = Math.ceil((from + count) / 4) - firstBlock
  const out = new Uint32Array(4 * Math.max(0, blocks))
  for (let i = 0; i < blocks; i++) {
    const [low, high] = words(firstBlock + i, "position")
    fill(out, 4 * i, source.key[0], source.key[1], low, high, source.counter[0], source.counter[1])
  }
  return out.subarray(from - 4 * firstBlock, from - 4 * firstBlock + count)
}

/** One uniform draw in [0, 1), a multiple of 2^-24: exact in float32. */
export function uniform(seed: number, ...path: Path): number {
  return uniforms(seed, path, 1)[0]
}

/** Uniform draws in [0, 1) at positions `from .. from + count`, shape [count]: multiples of 2^-24, so never rounded to 1. */
export function uniforms(seed: number, path: Path, count: number, from = 0): Float32Array {
  return Float32Array.from(wordsOf(stream(seed, path), count, from), (word) => (word >>> 8) * 2 ** -24)
}

/** The uniforms that choose the tokens of one rollout: position i of `rollout` of `problem`, whoever samples it. */
export function rolloutUniforms(
  seed: number,
  at: { readonly problem: string | number; readonly rollout: number },
  count: number,
  from = 0
): Float32Array {
  return uniforms(seed, ["rollout", at.problem, at.rollout], count, from)
}

/** One integer draw in [0, n), for n up to 2^21 (beyond that the product is no longer exact). Bias below n / 2^32. */
export function integer(seed: number, n: number, ...path: Path): number {
  return scale(wordsOf(stream(seed, path), 1)[0], n)
}

/** Standard normal draws, shape [count], by Box-Muller: positions 2i and 2i+1 share the words 2i and 2i+1. */
export function normals(seed: number, path: Path, count: number): Float32Array {
  const source = wordsOf(stream(seed, path), count + (count % 2))
  const out = new Float32Array(count)
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((source[i] + 1) * 2 ** -32)) // the logarithm's argument lies in (0, 1]
    const angle = 2 * Math.PI * source[i + 1] * 2 ** -32
    out[i] = radius * Math.cos(angle)
    if (i + 1 < count) out[i + 1] = radius * Math.sin(angle)
  }
  return out
}

/** A permutation of 0..n-1 (Fisher-Yates). Throws RangeError beyond 2^21 elements. */
export function permutation(seed: number, path: Path, n: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  const draws = wordsOf(stream(seed, path), n)
  for (let i = n - 1; i > 0; i--) {
    const j = scale(draws[i], i + 1)
    const moved = order[i]
    order[i] = order[j]
    order[j] = moved
  }
  return order
}

/** 32-bit FNV-1a over the UTF-8 bytes of `text`, from a given offset basis. Two bases make a 64-bit hash. */
export function fnv1a(text: string, basis = 0x811c9dc5): number {
  let hash = basis
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

const encoder = new TextEncoder()

function scale(word: number, n: number): number {
  if (!Number.isInteger(n) || n < 1 || n > 2 ** 21) throw new RangeError(`a range of 1 to 2^21 integers, not ${n}`)
  return Math.floor((word * n) / 2 ** 32)
}

/** A safe integer as its low and high 32-bit words (two's complement for negative ones). */
function words(value: number, what: string): [number, number] {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${what} must be a safe integer, not ${value}`)
  return [value >>> 0, Math.floor(value / 2 ** 32) >>> 0]
}

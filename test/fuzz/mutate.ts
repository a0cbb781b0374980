/** Input as nobody meant it: a valid one that was changed somewhere, or no valid one at all. */
import { draw } from "../../packages/core/src/index.ts"

/** Random numbers from a seed, for cases that can be made again by their number. */
export interface Random {
  /** In [0, n), for n up to 2^32. */
  readonly below: (n: number) => number
  readonly oneOf: <A>(values: ReadonlyArray<A>) => A
}

export const randomOf = (seed: number, index: number): Random => {
  const stream = draw.stream(seed, ["fuzz", index])
  let words = draw.wordsOf(stream, 64)
  let at = 0
  const word = () => {
    if (at === words.length) {
      words = draw.wordsOf(stream, 4 * words.length)
      at = words.length / 4
    }
    return words[at++]
  }
  const below = (n: number) => Math.floor((word() / 2 ** 32) * n)
  return { below, oneOf: (values) => values[below(values.length)] }
}

/** Numbers that lengths and offsets go wrong at. */
const edges = [0, 1, 7, 127, 128, 255, 256, 65_535, 65_536, 2 ** 26, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]

export const mutateBytes = (input: Uint8Array, random: Random): Uint8Array => {
  let bytes = input
  for (let times = 1 + random.below(3); times > 0; times--) bytes = mutateOnce(bytes, random)
  return bytes
}

const mutateOnce = (input: Uint8Array, { below, oneOf }: Random): Uint8Array => {
  const at = below(input.length + 1)
  const length = below(Math.min(64, input.length - at + 1))
  const noise = () => Uint8Array.from({ length: 1 + below(16) }, () => below(256))
  const spliced = (removed: number, put: Uint8Array) =>
    new Uint8Array(Buffer.concat([input.subarray(0, at), put, input.subarray(at + removed)]))
  switch (below(8)) {
    case 0:
      return input.length === 0 ? noise() : input.with(at % input.length, input[at % input.length] ^ (1 << below(8)))
    case 1:
      return spliced(length, noise())
    case 2:
      return input.slice(0, at)
    case 3:
      return spliced(length, new Uint8Array(0))
    case 4:
      return spliced(0, input.subarray(at, at + length))
    case 5: {
      const width = oneOf([1, 2, 4, 8])
      const value = BigInt.asUintN(width * 8, BigInt(oneOf(edges)))
      const number = Buffer.from(value.toString(16).padStart(width * 2, "0"), "hex")
      return spliced(width, oneOf([number, number.toReversed()]))
    }
    case 6:
      return spliced(length, new Uint8Array(length).fill(oneOf([0, 0xff])))
    default:
      return noise()
  }
}

/** JSON with some of its values replaced, removed or doubled; now and then its text is changed like any bytes. */
export const mutateJson = (json: unknown, random: Random): Uint8Array => {
  const text = new TextEncoder().encode(JSON.stringify(mutateValue(json, random)))
  return random.below(4) === 0 ? mutateBytes(text, random) : text
}

const mutateValue = (value: unknown, random: Random): unknown => {
  const { below, oneOf } = random
  if (typeof value !== "object" || value === null || below(12) === 0) {
    return below(3) === 0 ? value : oneOf(strange)
  }
  if (Array.isArray(value)) {
    const at = below(value.length + 1)
    return below(3) === 0 ? value.toSpliced(at, below(2), oneOf(strange)) : changedAt(value, at, random)
  }
  const entries: ReadonlyArray<[string, unknown]> = Object.entries(value)
  const at = below(entries.length)
  if (below(4) === 0) return Object.fromEntries(entries.toSpliced(at, 1))
  if (below(8) === 0) return Object.fromEntries([...entries, [oneOf(keys), oneOf(strange)]])
  return Object.fromEntries(entries.map(([key, own], i) => [key, i === at ? mutateValue(own, random) : own]))
}

const changedAt = (values: ReadonlyArray<unknown>, at: number, random: Random) =>
  values.map((value, i) => (i === at ? mutateValue(value, random) : value))

const nested = (depth: number): unknown => (depth === 0 ? 0 : [nested(depth - 1)])

const keys = ["", "__proto__", "constructor", "toString", "text", "__metadata__", "rope_scaling", "dtype", "\ud800"]
const numbers = [0, -1, 1.5, 1e-320, 1e308, 2 ** 31, 2 ** 53, 2 ** 63, -(2 ** 53)]
const strings = ["", "0", "\u0000", "F32", "BF16", "none", "../../etc/passwd", "\ud800", "x".repeat(300)]
const strange: ReadonlyArray<unknown> = [
  null,
  true,
  false,
  ...numbers,
  ...strings,
  [],
  {},
  [[]],
  [0, 0],
  [4, 2 ** 53],
  [-1],
  nested(200)
]

/** Typed looks into the metadata of a GGUF file; what is of another type is refused by its key. */
import { quote, refuse } from "../refusal.ts"
import type { Metadata, MetadataValue } from "./header.ts"

export interface Entries {
  readonly text: (key: string) => string | undefined
  readonly number: (key: string) => number | undefined
  readonly flag: (key: string) => boolean | undefined
  readonly texts: (key: string) => ReadonlyArray<string> | undefined
  /** Numbers of an array of any width. */
  readonly numbers: (key: string) => ReadonlyArray<number> | undefined
  /** A number, or an array (one for each layer) in which all are the same. */
  readonly uniform: (key: string) => number | undefined
}

export const entriesOf = (metadata: Metadata): Entries => {
  const expected = (key: string, what: string): never => refuse(`the value of ${quote(key)} is no ${what}`)
  const of =
    <A>(what: string, read: (value: MetadataValue) => A | undefined) =>
    (key: string): A | undefined => {
      const value = metadata.get(key)
      return value === undefined ? undefined : (read(value) ?? expected(key, what))
    }
  const numbers = of("array of numbers", (value) =>
    ArrayBuffer.isView(value) && !(value instanceof BigInt64Array) && !(value instanceof BigUint64Array)
      ? Array.from(value)
      : undefined
  )
  const number = of("number", (value) => (typeof value === "number" ? value : undefined))
  return {
    text: of("text", (value) => (typeof value === "string" ? value : undefined)),
    number,
    flag: of("truth value", (value) => (typeof value === "boolean" ? value : undefined)),
    texts: of("array of texts", (value) => (isTexts(value) ? value : undefined)),
    numbers,
    uniform: (key) => {
      if (!ArrayBuffer.isView(metadata.get(key))) return number(key)
      const [first, ...rest] = new Set(numbers(key))
      return rest.length === 0 ? first : refuse(`${quote(key)} differs from layer to layer, which is not supported`)
    }
  }
}

// Array.isArray alone gives any[].
const isTexts = (value: MetadataValue): value is ReadonlyArray<string> => Array.isArray(value)

/** The decimal number that whoever wrote an f32 meant: the shortest that rounds to it. */
export const shortest = (value: number): number => {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return value
}

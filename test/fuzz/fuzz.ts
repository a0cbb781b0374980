import { expect } from "vitest"
import { watchAllocations } from "./allocation.ts"
import type { Random } from "./mutate.ts"
import { randomOf } from "./mutate.ts"

/** What came of an input: an error that has its type and says in a line what is wrong, or a value. */
export type Outcome = { readonly _tag: "Value" } | { readonly _tag: "Refused"; readonly error: unknown }

export interface Reader {
  readonly name: string
  /** Makes an input and reads it. Throws where it gives a wrong value. */
  readonly read: (random: Random) => Promise<{ readonly input: Uint8Array; readonly outcome: Outcome }>
}

export interface Tally {
  readonly cases: number
  readonly values: number
  readonly refused: number
  /** Different lines that were said, numbers and quotations left out. */
  readonly lines: ReadonlySet<string>
}

/** Buffers and tables that are there for any input. */
const fixed = 2 ** 16
/** A byte of input may become a value of the host and its entry in a list. */
const perByte = 32

/** Reads `cases` inputs. Throws at the first that ends in anything but a value or a typed error, naming how to make it again. */
export const fuzz = async (reader: Reader, cases: number, seed: number, from = 0): Promise<Tally> => {
  const largestAllocation = (watching ??= watchAllocations())
  let values = 0
  const lines = new Set<string>()
  for (let index = from; index < from + cases; index++) {
    try {
      largestAllocation()
      const { input, outcome } = await reader.read(randomOf(seed, index))
      const allocated = largestAllocation()
      if (allocated > fixed + perByte * input.length) {
        throw new Error(`${allocated} bytes were asked for at once, for an input of ${input.length}`)
      }
      if (outcome._tag === "Value") values++
      else lines.add(lineOf(outcome.error))
    } catch (cause) {
      throw new Error(`${reader.name}: case ${index} of seed ${seed}: ${String(cause)}`, { cause })
    }
  }
  return { cases, values, refused: cases - values, lines }
}

let watching: (() => number) | undefined

const lineOf = (error: unknown): string => {
  if (!(error instanceof Error) || !("_tag" in error)) throw new Error(`not a typed error: ${String(error)}`)
  if (!/^[^\n]+$/.test(error.message)) throw new Error(`not one line: ${JSON.stringify(error.message)}`)
  return error.message.replaceAll(/"(\\.|[^"\\])*"/g, '""').replaceAll(/-?\d+(\.\d+)?(e[+-]?\d+)?/g, "0")
}

/** Runs a reader over its share and prints the counts. Both ends must be reached, in many ways, or the fuzzing is of no use. */
export const fuzzed = async (reader: Reader, cases: number, seed: number): Promise<void> => {
  const began = performance.now()
  const { values, refused, lines } = await fuzz(reader, cases, seed)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  process.stdout.write(
    `fuzz: ${cases} ${reader.name}: ${values} values, ${refused} typed errors of ${lines.size} kinds, ${seconds} s\n`
  )
  expect(values).toBeGreaterThan(cases / 100)
  expect(refused).toBeGreaterThan(cases / 10)
  expect(lines.size).toBeGreaterThan(5)
}

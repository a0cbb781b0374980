import { equalByAlgebra } from "./algebra.ts"
import { extractAnswer } from "./extractAnswer.ts"
import { normalize } from "./normalize.ts"
import { readRational } from "./rational.ts"

/**
 * True when two texts state the same answer: spelled the same after normalising, or the same exact number, or lists of the
 * same answers, or formulas that computer algebra shows to be equal. Two numbers are compared exactly and by nothing else;
 * where a formula is compared with a decimal, algebra does so to about ten digits.
 */
export const sameAnswer = (given: string, truth: string): Promise<boolean> =>
  same(normalize(extractAnswer(given)), normalize(extractAnswer(truth)))

const same = async (a: string, b: string): Promise<boolean> => {
  if (a === "" || b === "") return false
  if (a === b) return true
  const [p, q] = [readRational(a), readRational(b)]
  if (p !== undefined && q !== undefined) return p.numerator === q.numerator && p.denominator === q.denominator
  const [left, right] = [listOf(a), listOf(b)]
  if (left.items.length > 1 || right.items.length > 1) return sameLists(left, right)
  return equalByAlgebra(a, b)
}

interface List {
  /** Brackets in order, "" for a bare list. */
  readonly brackets: string
  readonly items: ReadonlyArray<string>
}

/** A pair or an interval has an order and brackets; a set and a bare list have neither. */
const sameLists = async (a: List, b: List): Promise<boolean> => {
  if (a.brackets !== b.brackets || a.items.length !== b.items.length) return false
  const ordered = a.brackets !== ""
  const left = [...b.items]
  for (const item of a.items) {
    const candidates = ordered ? [0] : left.keys()
    const found = await firstOf(candidates, (i) => same(item, left[i]))
    if (found === undefined) return false
    left.splice(found, 1)
  }
  return true
}

const firstOf = async (
  indices: Iterable<number>,
  holds: (index: number) => Promise<boolean>
): Promise<number | undefined> => {
  for (const index of indices) if (await holds(index)) return index
  return undefined
}

/** Splits at commas outside of brackets. */
const listOf = (text: string): List => {
  const wrapped = /^([([]|\\\{)(.*?)([)\]]|\\\})$/.exec(text)
  if (wrapped !== null) {
    const [, open, inner, close] = wrapped
    const items = splitAtCommas(inner)
    const isSet = open === "\\{" && close === "\\}"
    if (items !== undefined && items.length > 1) return { brackets: isSet ? "" : `${open}${close}`, items }
  }
  return { brackets: "", items: splitAtCommas(text) ?? [text] }
}

/** undefined where brackets do not balance. */
const splitAtCommas = (text: string): ReadonlyArray<string> | undefined => {
  const items: Array<string> = []
  let depth = 0
  let start = 0
  for (let i = 0; i < text.length; i++) {
    if ("([{".includes(text[i])) depth++
    if (")]}".includes(text[i])) depth--
    if (depth < 0) return undefined
    if (text[i] === "," && depth === 0) {
      items.push(text.slice(start, i))
      start = i + 1
    }
  }
  return depth === 0 ? [...items, text.slice(start)] : undefined
}

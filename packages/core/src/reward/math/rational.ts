/** An exact number, in lowest terms with a positive denominator: two are equal if and only if both fields are. */
export interface Rational {
  readonly numerator: bigint
  readonly denominator: bigint
}

/**
 * Reads an integer, a decimal, `a/b`, `\frac{a}{b}` or a mixed number `1\frac{1}{2}`, with a sign in front; undefined for
 * anything else.
 */
export const readRational = (text: string): Rational | undefined => {
  if (text.length > longest) return undefined
  const parts = shape.exec(text)?.groups
  if (parts === undefined) return undefined
  const { sign, whole, over, under, top, bottom } = parts
  const value = add(quotient(whole ?? over ?? "0", under ?? "1"), quotient(top ?? "0", bottom ?? "1"))
  if (value === undefined) return undefined
  return sign === "-" ? { ...value, numerator: -value.numerator } : value
}

/** Longer numbers are not read: squaring them costs time, and no answer has them. */
const longest = 400

const shape =
  /^(?<sign>[-+]?)(?:(?<whole>\d+(?:\.\d+)?|\.\d+)?\\frac\{(?<top>\d+(?:\.\d+)?)\}\{(?<bottom>\d+(?:\.\d+)?)\}|(?<over>\d+(?:\.\d*)?|\.\d+)(?:\/(?<under>\d+(?:\.\d+)?))?)$/

/** The quotient of two decimals; undefined where the second is 0. */
const quotient = (over: string, under: string): Rational | undefined => {
  const [a, b] = [decimal(over), decimal(under)]
  return b.numerator === 0n ? undefined : reduce(a.numerator * b.denominator, a.denominator * b.numerator)
}

const decimal = (text: string): Rational => {
  const [whole, fraction = ""] = text.split(".")
  return reduce(BigInt(`${whole}${fraction}` || "0"), 10n ** BigInt(fraction.length))
}

const add = (a: Rational | undefined, b: Rational | undefined): Rational | undefined =>
  a === undefined || b === undefined
    ? undefined
    : reduce(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator)

const reduce = (numerator: bigint, denominator: bigint): Rational => {
  const divisor = greatestCommonDivisor(numerator < 0n ? -numerator : numerator, denominator)
  return { numerator: numerator / divisor, denominator: denominator / divisor }
}

const greatestCommonDivisor = (a: bigint, b: bigint): bigint => {
  let [large, small] = [a, b]
  while (small !== 0n) [large, small] = [small, large % small]
  return large
}

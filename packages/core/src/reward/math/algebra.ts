/**
 * Whether two formulas are equal by computer algebra. The library is large, so it is loaded when the first formula needs
 * it; what a model writes can ask it for any amount of work, so what is not plainly small is not asked.
 */
import type { ComputeEngine, Expression } from "@cortex-js/compute-engine"

export const equalByAlgebra = async (a: string, b: string): Promise<boolean> => {
  if (![a, b].every(isSmall)) return false
  const engine = await theEngine()
  try {
    return engine.withTimeLimit(millisecondsAllowed, () => {
      const [left, right] = [engine.parse(a), engine.parse(b)]
      if (![left, right].every((side) => side.isValid && isFinite(side.N()))) return false
      return left.isEqual(right) === true || left.simplify().isSame(right.simplify())
    })
  } catch {
    // It gave up: equality was not shown.
    return false
  }
}

/** Infinities and undefined values would be equal to each other, however they came about. */
const isFinite = (value: Expression): boolean => value.isNaN !== true && value.isInfinity !== true

let engine: Promise<ComputeEngine> | undefined

const theEngine = (): Promise<ComputeEngine> =>
  (engine ??= import("@cortex-js/compute-engine").then(({ ComputeEngine }) => new ComputeEngine()))

/** A guard: a small formula takes milliseconds, so that no verdict hangs on how fast the machine is. */
const millisecondsAllowed = 2000

/** Short, no towers of powers, no large exponents, no factorials or binomials of large numbers. */
const isSmall = (formula: string): boolean =>
  formula.length <= 160 &&
  !/\^\{?[^{}^]*\^/.test(formula) &&
  !/\^\{?\s*-?\d{4,}/.test(formula) &&
  !/\d{4,}\s*\}?\s*\)?\s*!|!\s*!/.test(formula) &&
  !/\\binom\{\d{4,}/.test(formula) &&
  !/\\(?:int|sum|prod|lim|limits)(?![a-zA-Z])/.test(formula) &&
  /[\d\\^]|^[a-zA-Z]$/.test(formula)

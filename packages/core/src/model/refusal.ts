/** How parsers of this room say no: thrown inside of one, a `Result` outside. */
import { Result } from "effect"

class Refusal extends Error {}

/** Ends the parse that `refusals` runs; `reason` is one line. */
export const refuse = (reason: string): never => {
  throw new Refusal(reason)
}

/** What `parse` gives, or why it refused. */
export const refusals = <A>(parse: () => A): Result.Result<A, string> => {
  try {
    return Result.succeed(parse())
  } catch (cause) {
    if (cause instanceof Refusal) return Result.fail(cause.message)
    throw cause
  }
}

/** A value out of a file for an error: short, on one line. */
export const quote = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value)
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`
}

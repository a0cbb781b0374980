/** How what went wrong is told: one line on stderr and an exit code. */
import { Schema } from "effect"
import * as Cause from "effect/Cause"
import { CliError } from "effect/cli"

/** The command was called in a way that it does not have. Exit code 2. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", { message: Schema.String }) {}

/** A flag whose value reads well and cannot be used. Exit code 1. */
export class InputError extends Schema.TaggedError<InputError>()("InputError", { message: Schema.String }) {}

/** A check that did its work and found something wrong. Exit code 1, behind its output. */
export class CheckFailed extends Schema.TaggedError<CheckFailed>()("CheckFailed", { message: Schema.String }) {}

export interface Failure {
  /** Without the line feed; "" where there is nothing to say. */
  readonly line: string
  readonly exitCode: number
}

/** The failure that a cause is, or what it comes down to. */
export const failureOf = (cause: Cause.Cause<unknown>, debug: boolean): Failure => {
  if (Cause.hasInterruptsOnly(cause)) return { line: "", exitCode: 130 }
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) return usageFailure(error)
  if (!Cause.hasDies(cause)) {
    return { line: `foretoken: ${lineOf(error)}`, exitCode: error instanceof UsageError ? 2 : 1 }
  }
  if (debug) return { line: Cause.pretty(cause), exitCode: 1 }
  const hint = "this is a bug of Foretoken; FORETOKEN_DEBUG=1 shows where"
  return { line: `foretoken: unexpected: ${lineOf(error)} (${hint})`, exitCode: 1 }
}

/** One line for anything that was thrown or failed with. */
const lineOf = (error: unknown): string => {
  if (!(error instanceof Error)) return oneLine(String(error))
  const { backend, program, reason } = { ...error } as Partial<Record<"backend" | "program" | "reason", unknown>> // each may be absent
  const where = [backend, program].filter((part) => typeof part === "string").join(", ")
  if (error.message !== "") return oneLine(error.message)
  return oneLine(typeof reason === "string" ? `${where}${where === "" ? "" : ": "}${reason}` : error.name)
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s*\n\s*/g, " ")

/** Values out of range come as UserError from the flags and are no misuse of the command. */
const usageFailure = (error: CliError.CliError): Failure => {
  if (error._tag !== "ShowHelp") return { line: `foretoken: ${describe(error)}`, exitCode: 2 }
  const { commandPath, errors } = error
  if (errors.length === 0) return { line: "", exitCode: 0 }
  const [first] = errors
  const line = `foretoken: ${describe(first)}`
  return first._tag === "UserError"
    ? { line, exitCode: 1 }
    : { line: `${line} (see \`${commandPath.join(" ")} --help\`)`, exitCode: 2 }
}

const describe = (error: CliError.CliError): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return `there is no flag ${error.option}${suggestion(error.suggestions)}`
    case "UnknownSubcommand":
      return `there is no command ${JSON.stringify(error.subcommand)}${suggestion(error.suggestions)}`
    case "MissingOption":
      return `the flag --${error.option} is missing`
    case "MissingArgument":
      return `the argument ${error.argument} is missing`
    case "InvalidValue":
      return error.value === ""
        ? `--${error.option} has no value; ${expected(error.expected)}`
        : `--${error.option} is ${JSON.stringify(error.value)}; ${expected(error.expected)}`
    case "UnexpectedArgument":
      return `${error.arguments.map((value) => JSON.stringify(value)).join(", ")} belongs to no flag`
    default:
      return oneLine(error.message)
  }
}

const expected = (text: string): string => `${oneLine(text.replace(/^expected:?\s*/i, ""))} was expected`

const suggestion = (names: ReadonlyArray<string>): string =>
  names.length === 0 ? "" : `; did you mean ${names.join(" or ")}?`

import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Command, Flag } from "effect/cli"
import { CheckFailed } from "./failure.ts"
import { Streams } from "./Streams.ts"

/** What a command does, apart from its flags. Loaded when the command runs, so that `--help` loads no backend. */
export interface Action<Input, Output> {
  /** Its output goes to stdout as it is with --json. */
  readonly run: (input: Input) => Effect.Effect<Output, Error, Scope.Scope>
  /** The output for people. */
  readonly show: (output: Output) => string
  /** For a command that looks for something wrong: what it found, in a line; then it ends with exit code 1. */
  readonly complaint?: (output: Output) => string | undefined
}

type Config = Command.Command.Config

const json = Flag.Boolean("json").pipe(
  Flag.withDescription("one JSON document on stdout"),
  Flag.withoutNegation,
  Flag.withDefault(false)
)

/** A subcommand: its flags and arguments, and --json; its action, which says what it found. */
export const makeCommand = <const Name extends string, const Flags extends Config, Output>(definition: {
  readonly name: Name
  /** Its first clause, up to a colon or full stop, stands in the list of commands. */
  readonly description: string
  readonly flags: Flags
  readonly examples: ReadonlyArray<Command.Command.Example>
  readonly load: () => Promise<Action<Command.Command.Config.InferValue<Flags>, Output>>
}) =>
  Command.make(definition.name, { given: definition.flags, json }, ({ given, json }) =>
    Effect.gen(function* () {
      const { run, show, complaint } = yield* Effect.promise(definition.load)
      // Its scope closes first: progress has left the screen when the output comes.
      const output = yield* Effect.scoped(run(given))
      const { out } = yield* Streams
      yield* Effect.sync(() => out(`${json ? JSON.stringify(output) : show(output)}\n`))
      const message = complaint?.(output)
      if (message !== undefined) yield* new CheckFailed({ message })
    })
  ).pipe(
    Command.withDescription(definition.description),
    Command.withShortDescription(summaryOf(definition.description)),
    Command.withExamples(definition.examples)
  )

/** The first clause: it stands in the list of commands. */
const summaryOf = (description: string): string => description.split(/[.:] /)[0].replace(/\.$/, "")

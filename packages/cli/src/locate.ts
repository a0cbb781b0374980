import * as Effect from "effect/Effect"
import { CliError } from "effect/cli"
import { Streams } from "./Streams.ts"

/** Where a model lies: what is here as it is, org/name out of the hub's cache, or fetched into it, which is told. */
export const locate = (model: string): Effect.Effect<string, CliError.UserError> =>
  Effect.gen(function* () {
    // Loaded when a command runs, so that --help loads little.
    const { modelPath } = yield* Effect.promise(() => import("@foretoken/core"))
    const { error } = yield* Streams
    const onFile = (name: string, bytes: number) =>
      error(`foretoken: fetching ${name} of ${model} (${(bytes / 1e6).toFixed(1)} MB)\n`)
    return yield* modelPath(model, { onFile }).pipe(
      Effect.mapError((cause) => new CliError.UserError({ cause, userMessage: `--model ${cause.message}` }))
    )
  })

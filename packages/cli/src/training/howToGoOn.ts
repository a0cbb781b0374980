import { Checkpoint, Run } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** For whoever stopped a training: what is left of it, in a line. */
export const howToGoOn = (directory: string): Effect.Effect<string> =>
  Effect.gen(function* () {
    const run = yield* Run.openRun(directory)
    if (run.manifest.command === undefined) return `foretoken: stopped; what there is lies in ${directory}`
    const latest = yield* Checkpoint.latestCheckpoint(run)
    const step = Option.match(latest, { onNone: () => 0, onSome: (entry) => entry.step })
    return `foretoken: stopped at step ${step}; \`foretoken resume ${directory}\` goes on from there`
  }).pipe(Effect.orElseSucceed(() => "foretoken: stopped before anything was done"))

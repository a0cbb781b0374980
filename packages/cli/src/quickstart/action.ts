import { existsSync } from "node:fs"
import { join } from "node:path"
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import type { BackendChoice } from "../backend.ts"
import { backendLayer } from "../backend.ts"
import { duration } from "../Progress.ts"
import { recipe } from "./recipe.ts"
import type { StoryReport } from "./report.ts"
import { reportOf } from "./report.ts"
import { tellStory } from "./story.ts"

export { show } from "./report.ts"

interface Input extends BackendChoice {
  readonly seed: number
  readonly run: string | undefined
}

/** Steps between two lines of progress, per stage. */
const linesPerStage = 6

/** Tells the story; what happens is said on stderr, a line at a time, so that it reads well in a log too. */
export const run = (input: Input): Effect.Effect<StoryReport, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    const say = (line: string) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.sync(() => void process.stderr.write(`${duration(now - began).padStart(11)}  ${line}\n`))
      )
    const told = yield* tellStory({ ...recipe, seed: input.seed }, input.run ?? freshDirectory(), {
      stage: say,
      onStep:
        () =>
        ({ step, steps, metrics }) => {
          const every = Number.isFinite(steps) && steps < 1e6 ? Math.ceil(steps / linesPerStage) : 100
          if (step % every !== 0) return Effect.void
          const shown =
            "reward/mean" in metrics
              ? `reward ${metrics["reward/mean"].toFixed(3)}`
              : `loss ${metrics["loss"].toFixed(3)}`
          const validated =
            "validation/computed" in metrics ? `, held-out ${metrics["validation/computed"].toFixed(3)}` : ""
          return say(`    step ${step}${steps < 1e6 ? `/${steps}` : ""}: ${shown}${validated}`)
        }
    })
    return reportOf(told)
  }).pipe(Effect.provide(backendLayer(input)))

/** runs/start, or runs/start-2 and so on where that is taken: a run is never overwritten. */
const freshDirectory = (): string => {
  for (let n = 1; ; n++) {
    const directory = join("runs", n === 1 ? "start" : `start-${n}`)
    if (!existsSync(directory)) return directory
  }
}

import { Duration, Schema } from "effect"
import type { Effect } from "effect"
import { standardRetention } from "../run/Retention.ts"
import type { Retention } from "../run/Retention.ts"
import type { MemoryPlan } from "./memoryPlan.ts"
import type { StepReport } from "./runPipeline.ts"

export interface RunOptions {
  readonly steps: number
  readonly seed: number
  /** The directory of the run. It must not exist. */
  readonly run: string
  /** Actors that sample side by side: speed, never results. Default 1. */
  readonly samplers?: number
  /** A checkpoint every so many steps, beside the last and the best: what a death costs at most. Default 20. */
  readonly checkpointEvery?: number
  /** Which checkpoints stay while newer ones come. Default: the newest two, and the best. */
  readonly keep?: Retention
  /** Groups a step whose rollouts go to samples.jsonl. Default 4. */
  readonly groupsShown?: number
  /** What an actor may take for one message before it counts as stuck and is restarted. Default: an hour. */
  readonly timeLimit?: Duration.Input
  /** How whoever made the pipeline makes it again, for the manifest: `foretoken train` puts its flags here. */
  readonly command?: typeof Schema.Json.Type
  /** What it was planned to take of memory (`planMemory`), for the manifest. */
  readonly memory?: MemoryPlan
  /** Runs once the directory of the run is there. */
  readonly onBegin?: Effect.Effect<void>
  /** Called after every step, to show how the run goes. */
  readonly onStep?: (report: StepReport) => Effect.Effect<void>
}

/** JSON has no Infinity: never is null there. */
const OrNever = Schema.NullOr(Schema.Int)

/** The options of a run as its manifest has them, for those who go on with it. */
export const StoredSettings = Schema.Struct({
  steps: Schema.Int,
  samplers: Schema.Int,
  checkpointEvery: OrNever,
  keep: Schema.Struct({ last: Schema.Int, every: OrNever }),
  groupsShown: Schema.Int
})

/** The options of a run, all of them decided. */
export interface RunSettings {
  readonly seed: number
  readonly steps: number
  readonly samplers: number
  readonly checkpointEvery: number
  readonly keep: Retention
  readonly groupsShown: number
  /** Speed, never results: it is no part of what is stored. */
  readonly timeLimit: Duration.Duration
}

/** Steps. */
export const standardCheckpointEvery = 20

/** The most work that anyone gives one actor at a time is an update of a large model on few cores. */
export const standardTimeLimit: Duration.Input = "1 hour"

export const settingsOf = (options: RunOptions): RunSettings => {
  const {
    seed,
    steps,
    samplers = 1,
    checkpointEvery = standardCheckpointEvery,
    keep = standardRetention,
    groupsShown = 4
  } = options
  const timeLimit = Duration.fromInputUnsafe(options.timeLimit ?? standardTimeLimit)
  return { seed, steps, samplers, checkpointEvery, keep, groupsShown, timeLimit }
}

export const settingsOfStored = (
  seed: number,
  stored: typeof StoredSettings.Type,
  timeLimit: Duration.Input = standardTimeLimit
): RunSettings => ({
  ...stored,
  seed,
  timeLimit: Duration.fromInputUnsafe(timeLimit),
  checkpointEvery: stored.checkpointEvery ?? Infinity,
  keep: { last: stored.keep.last, every: stored.keep.every ?? Infinity }
})

import { Schema } from "effect"
import type { Effect } from "effect"
import { standardRetention } from "../run/Retention.ts"
import type { Retention } from "../run/Retention.ts"
import type { StepReport } from "./runPipeline.ts"

export interface RunOptions {
  readonly steps: number
  readonly seed: number
  /** The directory of the run. It must not exist. */
  readonly run: string
  /** Actors that sample side by side: speed, never results. Default 1. */
  readonly samplers?: number
  /** A checkpoint every so many steps, beside the last and the best. Default: none. */
  readonly checkpointEvery?: number
  /** Which checkpoints stay while newer ones come. Default: the newest two, and the best. */
  readonly keep?: Retention
  /** Groups a step whose rollouts go to samples.jsonl. Default 4. */
  readonly groupsShown?: number
  /** How whoever made the pipeline makes it again, for the manifest: `foretoken train` puts its flags here. */
  readonly command?: typeof Schema.Json.Type
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
}

export const settingsOf = (options: RunOptions): RunSettings => {
  const { seed, steps, samplers = 1, checkpointEvery = Infinity, keep = standardRetention, groupsShown = 4 } = options
  return { seed, steps, samplers, checkpointEvery, keep, groupsShown }
}

export const settingsOfStored = (seed: number, stored: typeof StoredSettings.Type): RunSettings => ({
  ...stored,
  seed,
  checkpointEvery: stored.checkpointEvery ?? Infinity,
  keep: { last: stored.keep.last, every: stored.keep.every ?? Infinity }
})

import { Result } from "effect"
import { SettingsError } from "../data/NextToken.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { RunOptions } from "./runPipeline.ts"
import { groupsPerStep } from "./sampleStep.ts"

interface Check {
  readonly setting: string
  readonly value: number
  readonly holds: boolean
  readonly right: string
}

/** Fails with the first setting that no run can be made with. Corpora, models and problems are checked where they are made. */
export const checkRun = (pipeline: Pipeline, options: RunOptions): Result.Result<void, SettingsError> => {
  const { sampler, buffer, batch, optimizer } = pipeline
  const { steps, seed, samplers = 1, checkpointEvery = 1 } = options
  const groups = groupsPerStep(pipeline)
  const bad = [
    atLeast(0, "steps", steps),
    { setting: "seed", value: seed, holds: Number.isSafeInteger(seed), right: "an integer" },
    atLeast(1, "samplers", samplers),
    atLeast(1, "checkpointEvery", checkpointEvery),
    atLeast(1, "groupSize", sampler.settings.groupSize),
    atLeast(1, "maxTokens", sampler.settings.maxTokens),
    positive("temperature", sampler.settings.temperature),
    atLeast(1, "documentsPerStep", batch.documentsPerStep),
    atLeast(1, "documentsPerUnit", batch.documentsPerUnit),
    atLeast(1, "shuffleBuffer", batch.shuffleBuffer),
    atLeast(1, "documentsPerMicroBatch", optimizer.settings.documentsPerMicroBatch),
    positive("maxNorm", optimizer.settings.maxNorm),
    {
      setting: "capacity",
      value: buffer.settings.capacity,
      holds: buffer.settings.capacity >= groups,
      right: `at least ${groups}, the groups of a step,`
    }
  ].find(({ holds }) => !holds)
  if (bad === undefined) return Result.succeed(undefined)
  const { setting, value, right } = bad
  return Result.fail(new SettingsError({ setting, problem: `${value} given; ${right} was expected` }))
}

const atLeast = (least: number, setting: string, value: number): Check => ({
  setting,
  value,
  holds: Number.isSafeInteger(value) && value >= least,
  right: `an integer of at least ${least}`
})

const positive = (setting: string, value: number): Check => ({
  setting,
  value,
  holds: value > 0 && value < Infinity,
  right: "a positive number"
})

import { Result } from "effect"
import { SettingsError } from "../data/NextToken.ts"
import type { Pipeline } from "./Pipeline.ts"
import { largestLag } from "./ReplayBuffer.ts"
import type { RunSettings } from "./RunSettings.ts"
import { groupsPerStep } from "./sampleStep.ts"

interface Check {
  readonly setting: string
  readonly value: number | string
  readonly holds: boolean
  readonly right: string
}

/** Fails with the first setting that no run can be made with. Corpora, models and problems are checked where they are made. */
export const checkRun = (pipeline: Pipeline, settings: RunSettings): Result.Result<void, SettingsError> => {
  const { sampler, buffer, batch, optimizer, lag } = pipeline
  const { steps, seed, samplers, checkpointEvery } = settings
  const stepsHeld = buffer.settings.overflow === "wait" ? 1 : lag + 1
  const groups = groupsPerStep(pipeline) * stepsHeld
  const { loss } = optimizer.settings
  const bad = [
    atLeast(0, "steps", steps),
    { setting: "seed", value: seed, holds: Number.isSafeInteger(seed), right: "an integer" },
    atLeast(1, "samplers", samplers),
    atLeast(1, "checkpointEvery", checkpointEvery === Infinity ? 1 : checkpointEvery),
    atLeast(1, "groupSize", sampler.settings.groupSize),
    atLeast(1, "maxTokens", sampler.settings.maxTokens),
    positive("temperature", sampler.settings.temperature),
    atLeast(1, "documentsPerStep", batch.documentsPerStep),
    atLeast(1, "documentsPerUnit", batch.documentsPerUnit),
    atLeast(1, "shuffleBuffer", batch.shuffleBuffer),
    atLeast(1, "documentsPerMicroBatch", optimizer.settings.documentsPerMicroBatch),
    positive("maxNorm", optimizer.settings.maxNorm),
    {
      setting: "lag",
      value: lag,
      holds: Number.isInteger(lag) && lag >= 0 && lag <= largestLag,
      right: `an integer from 0 to ${largestLag}`
    },
    {
      setting: "loss",
      value: loss._tag,
      holds: lag === 0 || loss._tag === "Truncated",
      right: `Truncated, because with a lag of ${lag} rollouts are of an older policy,`
    },
    {
      setting: "maxPolicyAge",
      value: buffer.settings.maxPolicyAge,
      holds: buffer.settings.maxPolicyAge >= lag,
      right: `at least the lag, ${lag},`
    },
    {
      setting: "capacity",
      value: buffer.settings.capacity,
      holds: buffer.settings.capacity >= groups,
      right: `at least ${groups}, the groups of ${stepsHeld === 1 ? "a step" : `${stepsHeld} steps`},`
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

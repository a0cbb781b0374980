import { adamwRule, Schedule, Supervised } from "@foretoken/core"
import type { Backend, OptimizerSettings } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { Trained, Training } from "../actions/train.ts"
import type { TrainFlags } from "./TrainFlags.ts"

/** AdamW at the rate that was asked for. */
export const optimizerOf = ({ lr, warmup }: TrainFlags, usualRate: number): OptimizerSettings => ({
  rule: adamwRule({ learningRate: lr ?? usualRate, beta2: 0.95 }),
  schedule: Schedule.constant(1, warmup),
  maxNorm: 1
})

/** Runs a training on given text. */
export const trainedBy = <E extends Error>(
  { input, corpus, policy, directory, onStep }: Training,
  how: Pick<Supervised.SupervisedOptions<E>, "optimizer" | "batches" | "about">
): Effect.Effect<Trained, Error, Backend> =>
  Effect.map(
    Supervised.run({
      objective: input.objective === "sft" ? "sft" : "ntp",
      policy,
      steps: input.steps,
      seed: input.seed,
      run: directory,
      onStep,
      frozen: input.freeze,
      remember: input.recompute ? "layers" : "all",
      ...how,
      about: { corpus: corpus.name, ...how.about }
    }),
    ({ steps, weightsHash, last, metrics }) => ({
      steps,
      ended: "done",
      weightsHash,
      checkpoint: last.directory,
      best: last.directory,
      metrics
    })
  )

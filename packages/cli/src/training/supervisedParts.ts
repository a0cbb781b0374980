import { adamwRule, Schedule } from "@foretoken/core"
import type { OptimizerSettings, Supervised } from "@foretoken/core"
import type { TrainFlags } from "./TrainFlags.ts"

/** What tells one training on given text from another. */
export type SupervisedParts = Pick<Supervised.SupervisedOptions<Error>, "optimizer" | "batches" | "about">

/** AdamW at the rate that was asked for. */
export const optimizerOf = ({ lr, warmup }: TrainFlags, usualRate: number): OptimizerSettings => ({
  rule: adamwRule({ learningRate: lr ?? usualRate, beta2: 0.95 }),
  schedule: Schedule.constant(1, warmup),
  maxNorm: 1
})

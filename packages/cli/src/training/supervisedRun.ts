import { Supervised } from "@foretoken/core"
import type { Backend } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type { Trained, Training } from "../actions/train.ts"
import { completionParts } from "./completionParts.ts"
import { nextTokenParts } from "./nextTokenParts.ts"
import { encodeCommand } from "./TrainFlags.ts"

/** A training on given text: --objective ntp or sft. */
export const supervisedRun = (
  training: Training,
  onBegin: Effect.Effect<void>
): Effect.Effect<Trained, Error, Backend> =>
  Effect.gen(function* () {
    const command = encodeCommand(training.input)
    return trainedOf(yield* Supervised.run({ ...(yield* optionsOf(training)), command, onBegin }))
  }).pipe(Effect.scoped)

/** The same run, begun before. */
export const resumedSupervisedRun = (
  training: Training,
  { elsewhere }: { readonly elsewhere: boolean }
): Effect.Effect<Trained & { readonly from: number; readonly hadEnded: boolean }, Error, Backend> =>
  Effect.gen(function* () {
    const { say } = training
    const result = yield* Supervised.resume({ ...(yield* optionsOf(training)), elsewhere, say })
    return { ...trainedOf(result), from: result.from, hadEnded: result.hadEnded }
  }).pipe(Effect.scoped)

const optionsOf = Effect.fnUntraced(function* (training: Training) {
  const { input, policy, directory, onStep } = training
  const isNextToken = input.objective === "ntp"
  const parts = isNextToken ? yield* nextTokenParts(training) : yield* completionParts(training)
  return {
    objective: isNextToken ? "ntp" : "sft",
    policy,
    steps: input.steps,
    seed: input.seed,
    run: directory,
    onStep,
    frozen: input.freeze,
    remember: input.recompute ? "layers" : "all",
    timeLimit: `${input.timeLimit} seconds`,
    ...(input.checkpointEvery === undefined ? {} : { checkpointEvery: input.checkpointEvery }),
    ...parts
  } as const
})

const trainedOf = ({ steps, weightsHash, last, metrics }: Supervised.SupervisedResult): Trained => ({
  steps,
  ended: "done",
  weightsHash,
  checkpoint: last.directory,
  best: last.directory,
  metrics
})

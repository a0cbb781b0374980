import { Backend, Corpus, Run } from "@foretoken/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { backendLayer } from "../backend.ts"
import { InputError, UsageError } from "../failure.ts"
import { openTrainedModel } from "../model.ts"
import { makeProgress } from "../Progress.ts"
import { howToGoOn } from "../training/howToGoOn.ts"
import { resumedRun } from "../training/reinforcementRun.ts"
import { resumedSupervisedRun } from "../training/supervisedRun.ts"
import { decodeCommand } from "../training/TrainFlags.ts"
import type { TrainFlags } from "../training/TrainFlags.ts"
import type { Output as Trained } from "./train.ts"
import { show as showTrained, stepLine } from "./train.ts"

export interface Input {
  readonly run: string
  readonly samplers: number | undefined
  readonly model: string | undefined
  readonly corpus: string | undefined
  readonly elsewhere: boolean
}

interface Output extends Trained {
  /** The step that it went on from. */
  readonly from: number
  /** Whether it was done before: then nothing was. */
  readonly hadEnded: boolean
}

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const { directory, manifest } = yield* Run.openRun(input.run).pipe(
      Effect.catchIf(
        (error) => error._tag === "StorageError" && error.isMissing,
        () => new InputError({ message: `${input.run}: is no run; a directory with a manifest.json was expected` })
      )
    )
    const command = decodeCommand(manifest.command)
    if (Option.isNone(command)) {
      const message =
        `${directory}: was not begun by \`foretoken train\`, so its parts are not known; ` +
        `a program that made them goes on with Pipeline.resume or Supervised.resume`
      return yield* new InputError({ message })
    }
    const { flags: begun } = command.value
    const { model = begun.model, corpus = begun.corpus } = input
    const flags = { ...begun, model, corpus }
    if (input.samplers !== undefined && flags.objective !== "rpt") {
      return yield* new UsageError({
        message: `--samplers is of --objective rpt; this run is one of ${flags.objective}`
      })
    }
    return yield* Effect.provide(resumed(input, flags), backendLayer(flags))
  })

const resumed = Effect.fnUntraced(function* (input: Input, flags: TrainFlags) {
  const began = yield* Clock.currentTimeMillis
  const { name: backend } = yield* Backend
  const { run: directory } = input
  const corpus = yield* Corpus.open(flags.corpus, { field: flags.field })
  const policy = yield* openTrainedModel(flags, flags.seed)
  const progress = yield* makeProgress({ title: flags.objective, unit: "steps", total: flags.steps })
  const training = {
    input: flags,
    corpus,
    policy,
    directory,
    onStep: (report: Parameters<typeof stepLine>[0]) =>
      Effect.andThen(progress.print(stepLine(report)), progress.update(report.step)),
    say: (line: string) => progress.tell(`foretoken: ${line}`)
  }
  const goingOn = flags.objective === "rpt" ? resumedRun(training, input) : resumedSupervisedRun(training, input)
  const result = yield* goingOn.pipe(Effect.onInterrupt(() => Effect.flatMap(howToGoOn(directory), progress.tell)))
  const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
  return { run: directory, objective: flags.objective, backend, seconds, ...result }
})

export const show = (output: Output): string => {
  const { from, hadEnded, ended, run, steps, checkpoint, weightsHash } = output
  if (!hadEnded) return `went on from step ${from}\n${showTrained(output)}`
  return [
    `${run} had ended before, at step ${steps}${ended === "done" ? ": all steps are made" : ` (${ended})`}`,
    `checkpoint  ${checkpoint}`,
    `weights     ${weightsHash}`
  ].join("\n")
}

import { rm } from "node:fs/promises"
import { Backend, Corpus, gigabytes } from "@foretoken/core"
import type { Backend as BackendService, MemoryPlan, LoadedModel, Pipeline, Winnability } from "@foretoken/core"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { backendLayer } from "../backend.ts"
import { UsageError } from "../failure.ts"
import { openTrainedModel } from "../model.ts"
import { duration, makeProgress } from "../Progress.ts"
import { freeRunDirectory } from "../runDirectory.ts"
import { table } from "../table.ts"
import { reinforcementRun } from "../training/reinforcementRun.ts"
import { howToGoOn } from "../training/howToGoOn.ts"
import { supervisedRun } from "../training/supervisedRun.ts"
import type { TrainFlags } from "../training/TrainFlags.ts"

export interface Input extends TrainFlags {
  readonly run: string | undefined
}

/** A training with its parts at hand. */
export interface Training {
  readonly input: TrainFlags
  readonly corpus: Corpus.Corpus
  readonly policy: LoadedModel
  /** The run directory. */
  readonly directory: string
  readonly onStep: (report: Pipeline.StepReport) => Effect.Effect<void>
  /** A line for whoever watches. */
  readonly say: (line: string) => Effect.Effect<void>
}

/** What all objectives come to. */
export interface Trained {
  readonly steps: number
  /** "done", or why it ended before its steps were made. */
  readonly ended: string
  readonly weightsHash: string
  /** Directories of the last checkpoint and of the best by validation. */
  readonly checkpoint: string
  readonly best: string
  /** Of the last step. */
  readonly metrics: Readonly<Record<string, number>>
  /** rpt: the most memory that it was planned to take. */
  readonly memory?: MemoryPlan
  /** rpt: how many positions of the corpus cannot be won under the template. */
  readonly winnability?: Winnability
}

export interface Output extends Trained {
  readonly run: string
  readonly objective: TrainFlags["objective"]
  readonly backend: string
  readonly seconds: number
}

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  trained(input).pipe(Effect.provide(backendLayer(input)))

const trained = Effect.fnUntraced(function* (input: Input) {
  const began = yield* Clock.currentTimeMillis
  if (input.memory !== undefined && input.objective !== "rpt") {
    const message = `--memory is of --objective rpt; ${input.objective} takes --recompute and fewer --documents`
    return yield* new UsageError({ message })
  }
  const { name: backend } = yield* Backend
  const corpus = yield* Corpus.open(input.corpus, { field: input.field })
  const policy = yield* openTrainedModel(input, input.seed)
  const directory = input.run ?? (yield* freeRunDirectory(input))
  const progress = yield* makeProgress({ title: input.objective, unit: "steps", total: input.steps })
  let state: "unmade" | "made" | "under way" = "unmade"
  const onBegin = Effect.sync(() => void (state = "made"))
  const onStep = (report: Pipeline.StepReport) => {
    state = "under way"
    const line = stepLine(report)
    return Effect.andThen(progress.print(line), progress.update(report.step))
  }
  const result = yield* removedUnless(
    () => state !== "made",
    directory,
    objectiveRun({ input, corpus, policy, directory, onStep, say: progress.print }, onBegin)
  ).pipe(Effect.onInterrupt(() => Effect.flatMap(howToGoOn(directory), progress.tell)))
  const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
  return { run: directory, objective: input.objective, backend, seconds, ...result }
})

const objectiveRun = (
  training: Training,
  onBegin: Effect.Effect<void>
): Effect.Effect<Trained, Error, BackendService> => {
  switch (training.input.objective) {
    case "rpt":
      return reinforcementRun(training, onBegin)
    case "ntp":
    case "sft":
      return supervisedRun(training, onBegin)
  }
}

/**
 * A run that failed before its first step leaves no directory behind, and one that was stopped does. What this process has not made stays
 * as it is: it may be the run of another that was quicker.
 */
const removedUnless = <A, E, R>(isOfUse: () => boolean, directory: string, effect: Effect.Effect<A, E, R>) => {
  const remove = Effect.promise(() => rm(directory, { recursive: true, force: true }).catch(() => undefined))
  return Effect.onError(effect, (cause) => (isOfUse() || Cause.hasInterruptsOnly(cause) ? Effect.void : remove))
}

/** The metrics worth a glance, in this order, where a step has them. */
const shown = [
  ["reward/mean", "reward"],
  ["groups/informative", "informative"],
  ["outcome/answered", "answered"],
  ["loss", "loss"],
  ["entropy", "entropy"],
  ["approx_kl", "kl"],
  ["grad_norm", "gradient"]
] as const

/** And those that say that something went wrong, where it did. */
const troubles = [
  ["problems/aside", "set aside"],
  ["groups/stale", "stale"],
  ["actors/restarted", "restarts"]
] as const

export const stepLine = ({ step, steps, metrics }: Pipeline.StepReport): string => {
  const trouble = troubles.flatMap(([name, label]) => (metrics[name] > 0 ? [`${label} ${metrics[name]}`] : []))
  const values = shown.flatMap(([name, label]) => (name in metrics ? [`${label} ${metrics[name].toPrecision(3)}`] : []))
  return [`step ${step}/${steps}`, ...values, ...trouble].join("  ")
}

export const show = (output: Output): string => {
  const { run, steps, ended, seconds, weightsHash, checkpoint, memory, metrics } = output
  const rows = Object.entries(metrics).map(([name, value]) => [name, String(Number(value.toPrecision(6)))])
  return [
    `${steps} steps in ${duration(seconds * 1000)}${ended === "done" ? "" : ` (${ended})`}`,
    `run         ${run}`,
    `checkpoint  ${checkpoint}`,
    `weights     ${weightsHash}`,
    ...(memory === undefined ? [] : [`memory      planned at most ${gigabytes(memory.total)}`]),
    "",
    table(["last step", ""], rows)
  ].join("\n")
}

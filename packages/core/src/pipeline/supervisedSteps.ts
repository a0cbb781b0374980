/** The steps of a training on given text, and the checkpoints that it leaves. */
import { Clock, Effect, Option, Schema } from "effect"
import type { Scope } from "effect"
import { hashWeights } from "../model/weights.ts"
import type { Checkpoint } from "../run/Checkpoint.ts"
import { saveCheckpoint } from "../run/Checkpoint.ts"
import { openMetrics } from "../run/Metrics.ts"
import type { MetricsRow } from "../run/Metrics.ts"
import { prune, standardRetention } from "../run/Retention.ts"
import { RunError, metricsPath } from "../run/Run.ts"
import type { Run } from "../run/Run.ts"
import type { SupervisedError, SupervisedOptions, SupervisedResult } from "./Supervised.ts"
import { standardCheckpointEvery } from "./RunSettings.ts"
import type { Learned, SupervisedLearner } from "./SupervisedLearner.ts"

type Options<E> = Pick<
  SupervisedOptions<E>,
  "policy" | "steps" | "stopAfterSeconds" | "checkpointEvery" | "batches" | "onStep"
>

/** Steps after `from` until all are made, each with its row of metrics; rows of later ones that are there already are made again. */
export const takeSupervisedSteps = Effect.fnUntraced(function* <E>(
  {
    policy,
    steps,
    stopAfterSeconds = Infinity,
    checkpointEvery = standardCheckpointEvery,
    batches,
    onStep
  }: Options<E>,
  run: Run,
  learner: SupervisedLearner,
  from: number
): Effect.fn.Return<SupervisedResult, E | SupervisedError, Scope.Scope> {
  const log = yield* openMetrics(metricsPath(run), from)
  const before = Option.match(log.last, { onNone: (): MetricsRow["values"] => ({}), onSome: ({ values }) => values })
  const began = (yield* Clock.currentTimeMillis) - 1000 * (before["seconds"] ?? 0)
  const secondsSince = Effect.map(Clock.currentTimeMillis, (now) => (now - began) / 1000)
  let metrics: Readonly<Record<string, number>> = before
  let step = from
  /** The last checkpoint that was made here. */
  let saved: Option.Option<Effect.Success<typeof save>> = Option.none()
  const isSaved = () => Option.match(saved, { onNone: () => step === from, onSome: (own) => own.entry.step === step })

  const save = Effect.gen(function* () {
    yield* log.sync
    const { weights, optimizer } = yield* learner.keep
    const checkpoint = {
      step,
      model: { ...policy.stored, weights },
      weightsHash: yield* hashWeights(weights),
      optimizer: optimizer.moments,
      validation: { _tag: "unmeasured" },
      progress: { step, updates: optimizer.updates },
      others: {}
    } as const
    const { files: _, ...entry } = yield* saveCheckpoint(run, checkpoint)
    yield* prune(run, standardRetention)
    saved = Option.some({ entry, weights })
    return { entry, weights }
  })
  const takeStep = Effect.fnUntraced(function* (batch: Parameters<SupervisedLearner["update"]>[0]) {
    const measured = yield* learner.update(batch)
    metrics = { ...measured, "actors/restarted": learner.restarted(), seconds: yield* secondsSince }
    yield* log.append({ step: step + 1, values: metrics })
    step++
    if (step % checkpointEvery === 0) yield* save
  })
  const allSteps = Effect.gen(function* () {
    for (let next = from; next < steps && (yield* secondsSince) < stopAfterSeconds; next++) {
      const batch = yield* batches(next)
      // What was learned is known to have been learned, whoever interrupts meanwhile.
      yield* Effect.uninterruptible(takeStep(batch))
      if (onStep !== undefined) yield* onStep({ step, steps, metrics })
    }
    const seconds = yield* secondsSince
    const { entry, weights } = isSaved() && Option.isSome(saved) ? saved.value : yield* save
    return { run: run.directory, steps: step, seconds, weights, weightsHash: entry.weightsHash, last: entry, metrics }
  })
  return yield* Effect.onError(allSteps, () => (isSaved() ? Effect.void : Effect.ignoreCause(save)))
})

const Saved = Schema.Struct({ step: Schema.Int, updates: Schema.Int })

/** What a checkpoint of such a training goes on from. */
export const learnedOf = ({
  step,
  model,
  optimizer,
  progress,
  directory
}: Checkpoint & { readonly directory: string }): Effect.Effect<Learned, RunError> =>
  Schema.decodeUnknownEffect(Saved)(progress).pipe(
    Effect.map(({ updates }) => ({ step, weights: model.weights, optimizer: { updates, moments: optimizer } })),
    Effect.mapError(({ message }) => new RunError({ path: directory, reason: message.replaceAll(/\s*\n\s*/g, " ") }))
  )

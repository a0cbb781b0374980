import { Backend, parameterCount } from "@foretoken/core"
import type { LoadedModel } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { forwardFlops, learnedTokens, sampledTokens, sequenceTokens, trainFlops } from "./flops.ts"
import { measure, shareOf, warmup } from "./measure.ts"
import { secondsPerMessage } from "./messages.ts"
import type { DecodeReport, SlopeReport, StepReport, TrainReport } from "./Report.ts"
import { spreadOf } from "./Spread.ts"
import type { Phase } from "./stepper.ts"
import { makeStepper } from "./stepper.ts"
import type { StepShape } from "./StepShape.ts"
import { rolloutsOf } from "./StepShape.ts"
import type { Sequences } from "./workloads.ts"
import { makeDecoding, makeTraining } from "./workloads.ts"

export interface BenchSettings {
  readonly seed: number
  /** Measured steps, after the warm-up */
  readonly steps: number
  /** Documents that go through the model at a time */
  readonly unit: number
}

export const stepReport = Effect.fnUntraced(function* (
  model: LoadedModel,
  shape: StepShape,
  { steps, ...settings }: BenchSettings
): Effect.fn.Return<StepReport, Error, Backend | Scope.Scope> {
  const stepper = yield* makeStepper(model, shape, settings)
  const { first, readings, machine } = yield* measure(model, stepper.step, steps)
  const messageSeconds = yield* secondsPerMessage(20_000)

  const rollouts = rolloutsOf(shape)
  const learned = learnedTokens(shape)
  const sample = forwardFlops(model.stored.config, sampledTokens(shape))
  const train = trainFlops(model.stored.config, learned)
  const stepSeconds = spreadOf(readings.map(({ seconds }) => seconds))
  const of = (phase: Phase) => spreadOf(readings.map((reading) => reading.phases[phase]))
  const phases = {
    sync: of("sync"),
    sample: of("sample"),
    rollouts: of("rollouts"),
    train: of("train"),
    optimizer: of("optimizer"),
    publish: of("publish")
  }
  const share = (flops: number, seconds: number) => shareOf(flops, seconds, machine.ceilingGflops)
  const [{ padding, messages }] = readings
  return {
    workload: "step",
    ...machine,
    shape: { ...shape, rollouts },
    steps,
    stepSeconds,
    phases,
    rolloutsPerSecond: rollouts / stepSeconds.median,
    decodeTokensPerSecond: (rollouts * shape.tokens) / phases.sample.median,
    trainTokensPerSecond: learned.rows / (phases.train.median + phases.optimizer.median),
    flops: { sample, train, step: sample + train },
    shareOfCeiling: {
      sample: share(sample, phases.sample.median),
      train: share(train, phases.train.median),
      step: share(sample + train, stepSeconds.median)
    },
    paddingShare: padding,
    compileSeconds: first.reduce((sum, { compileSeconds }) => sum + compileSeconds, 0),
    messages: {
      perSecond: 1 / messageSeconds,
      microseconds: messageSeconds * 1e6,
      perStep: messages,
      shareOfStep: (messages * messageSeconds) / stepSeconds.median
    },
    logprobGap: Math.max(...readings.map(({ logprobGap }) => logprobGap))
  }
})

export const trainReport = Effect.fnUntraced(function* (
  model: LoadedModel,
  shape: Sequences,
  { steps, seed }: BenchSettings
): Effect.fn.Return<TrainReport, Error, Backend | Scope.Scope> {
  const { readings, machine } = yield* measure(model, yield* makeTraining(model, shape, seed), steps)
  const tokens = sequenceTokens(shape.batch, shape.length)
  const flops = trainFlops(model.stored.config, tokens)
  const stepSeconds = spreadOf(readings.map(({ train, optimizer }) => train + optimizer))
  const phases = {
    train: spreadOf(readings.map(({ train }) => train)),
    optimizer: spreadOf(readings.map(({ optimizer }) => optimizer))
  }
  return {
    workload: "train",
    ...machine,
    shape,
    steps,
    stepSeconds,
    phases,
    trainTokensPerSecond: tokens.rows / stepSeconds.median,
    flops: { step: flops },
    shareOfCeiling: {
      train: shareOf(flops, phases.train.median, machine.ceilingGflops),
      step: shareOf(flops, stepSeconds.median, machine.ceilingGflops)
    }
  }
})

export const decodeReport = Effect.fnUntraced(function* (
  model: LoadedModel,
  shape: Sequences,
  { steps, seed }: BenchSettings
): Effect.fn.Return<DecodeReport, Error, Backend | Scope.Scope> {
  const { readings, machine } = yield* measure(model, yield* makeDecoding(model, shape, seed), steps)
  const alone = { documents: 1, positions: 1, group: shape.batch, context: 0, tokens: shape.length }
  const flops = forwardFlops(model.stored.config, sampledTokens(alone))
  const stepSeconds = spreadOf(readings)
  return {
    workload: "decode",
    ...machine,
    shape,
    steps,
    stepSeconds,
    phases: { sample: stepSeconds },
    decodeTokensPerSecond: (shape.batch * shape.length) / stepSeconds.median,
    flops: { step: flops },
    shareOfCeiling: { sample: shareOf(flops, stepSeconds.median, machine.ceilingGflops) }
  }
})

/** Trunks at which the price of a rollout is measured. */
export const slopeContexts = [64, 128, 256, 512]

/**
 * What one more rollout costs at each length of the trunk: steps with G and with 2 G rollouts an anchor by turns, and the
 * difference of the fastest of each, since a disturbance only ever adds time and a difference doubles it. Flat means that
 * a rollout does not read the document again.
 */
export const slopeReport = Effect.fnUntraced(function* (
  model: LoadedModel,
  shape: StepShape,
  { steps, ...settings }: BenchSettings,
  contexts: ReadonlyArray<number>
): Effect.fn.Return<SlopeReport, Error, Backend | Scope.Scope> {
  const at = Effect.fnUntraced(function* (context: number) {
    const fewer = { ...shape, context }
    const more = { ...fewer, group: 2 * shape.group }
    const [a, b] = [yield* makeStepper(model, fewer, settings), yield* makeStepper(model, more, settings)]
    const readings = yield* Effect.replicateEffect(Effect.all([a.step, b.step]), warmup + steps)
    const seconds = [0, 1].map((which) => spreadOf(readings.slice(warmup).map((pair) => pair[which].seconds)).min)
    const added = rolloutsOf(more) - rolloutsOf(fewer)
    const secondsPerRollout = (seconds[1] - seconds[0]) / added
    return { context, stepSeconds: [seconds[0], seconds[1]] as const, secondsPerRollout }
  }, Effect.scoped)
  const points = yield* Effect.forEach(contexts, at)
  const prices = spreadOf(points.map(({ secondsPerRollout }) => secondsPerRollout))
  return {
    workload: "slope",
    backend: (yield* Backend).name,
    parameters: parameterCount(model.stored.config),
    shape,
    steps,
    points,
    spread: prices.max / prices.min - 1
  }
})

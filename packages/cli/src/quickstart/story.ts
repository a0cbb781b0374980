import { Backend, loadModel, makeRunContext, Template } from "@foretoken/core"
import type { Evaluator, ModelConfigError, Pipeline, RunContext, Supervised, KeptWeights } from "@foretoken/core"
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import type { Examination } from "./examination.ts"
import { makeExamination } from "./examination.ts"
import type { Recipe } from "./recipe.ts"
import { formatWarmUp, fromScratch, nextTokenTraining, reinforcement, withWeights } from "./stages.ts"
import type { Story } from "./stages.ts"

/** One policy under examination. */
export interface Arm {
  readonly name: string
  readonly how: "direct" | "reasoned"
  /** Training time beyond what the arm started from, seconds. */
  readonly seconds: number
  readonly records: ReadonlyArray<Evaluator.PositionRecord | Evaluator.ReasonedRecord>
}

export interface Told {
  readonly backend: string
  readonly context: RunContext
  readonly arms: ReadonlyArray<Arm>
  readonly curve: ReadonlyArray<{ readonly step: number; readonly accuracy: number }>
  /** The same positions before and after reinforcement, in the same order. */
  readonly before: ReadonlyArray<Evaluator.ReasonedRecord>
  readonly after: ReadonlyArray<Evaluator.ReasonedRecord>
  readonly rpt: Pipeline.RunResult
  readonly seconds: number
}

export type StoryError = Pipeline.PipelineError | Supervised.SupervisedError | ModelConfigError

/**
 * The whole story on one backend: next-token pre-training from random weights, a format warm-up on a few worked
 * examples, reinforcement on plain text, and two controls that get the same time. Every arm is examined and reported.
 */
export const tellStory = Effect.fnUntraced(function* (
  recipe: Recipe,
  directory: string,
  show: { readonly stage: (line: string) => Effect.Effect<void>; readonly onStep: Story["onStep"] }
): Effect.fn.Return<Told, StoryError, Backend | Scope.Scope> {
  const began = yield* Clock.currentTimeMillis
  const scratch = yield* fromScratch(recipe)
  const { config } = scratch.stored
  const context = makeRunContext({
    seed: recipe.seed,
    config,
    tokenizer: scratch.tokenizer,
    template: Template.compact
  })
  const story: Story = { recipe, directory, context, onStep: show.onStep }
  const forever = Infinity

  yield* show.stage("1/5 next-token pre-training from random weights")
  const { steps, optimizer, documents } = recipe.pretraining
  const fresh = { name: "base", policy: scratch, optimizer, steps, from: 0, stopAfterSeconds: forever }
  const base = yield* nextTokenTraining(story, fresh)
  const examination = yield* makeExamination(context, recipe, base.weights)

  yield* show.stage(`2/5 format warm-up on ${recipe.warmUp.documents} documents with worked examples`)
  const warmed = yield* formatWarmUp(story, {
    name: "warm-up",
    policy: withWeights(scratch, base.weights),
    optimizer: recipe.warmUp.optimizer,
    steps: recipe.warmUp.steps,
    stopAfterSeconds: forever
  })

  yield* show.stage("3/5 reinforcement pre-training on plain text")
  const curve: Array<{ readonly step: number; readonly accuracy: number }> = []
  const start = yield* examination.validate(warmed.weights)
  curve.push({ step: 0, accuracy: start })
  const reinforcedFrom = yield* Clock.currentTimeMillis
  const rpt = yield* reinforcement(story, withWeights(scratch, warmed.weights), ({ weights }) =>
    Effect.tap(examination.validate(weights), (accuracy) =>
      Effect.sync(() => curve.push({ step: curve.length * recipe.rpt.validateEvery, accuracy }))
    )
  )
  const rptSeconds = ((yield* Clock.currentTimeMillis) - reinforcedFrom) / 1000
  const reinforced = yield* loadModel(rpt.best.directory)

  yield* show.stage("4/5 control: the pre-training goes on for the time of warm-up and reinforcement")
  const more = yield* nextTokenTraining(story, {
    name: "control-next-token",
    policy: withWeights(scratch, base.weights),
    optimizer: recipe.controls.nextToken,
    steps: Number.MAX_SAFE_INTEGER,
    from: steps * documents,
    stopAfterSeconds: warmed.seconds + rptSeconds
  })

  yield* show.stage("5/5 control: the warm-up goes on for the time of reinforcement")
  const longer = yield* formatWarmUp(story, {
    name: "control-warm-up",
    policy: withWeights(scratch, warmed.weights),
    optimizer: recipe.controls.warmUp,
    steps: Number.MAX_SAFE_INTEGER,
    stopAfterSeconds: rptSeconds
  })

  yield* show.stage("examination on held-out documents")
  const before = yield* examination.reasoned(warmed.weights)
  const after = yield* examination.reasoned(reinforced.weights)
  const direct = directArm(examination)
  const arms: ReadonlyArray<Arm> = [
    yield* direct("base", 0, base.weights),
    { name: "warm-up", how: "reasoned", seconds: warmed.seconds, records: before },
    { name: "RPT", how: "reasoned", seconds: warmed.seconds + rptSeconds, records: after },
    yield* direct("RPT", warmed.seconds + rptSeconds, reinforced.weights),
    yield* direct("control: more next-token training", more.seconds, more.weights),
    {
      name: "control: more warm-up",
      how: "reasoned",
      seconds: warmed.seconds + longer.seconds,
      records: yield* examination.reasoned(longer.weights)
    }
  ]
  const { name: backend } = yield* Backend
  const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
  const told: Told = { backend, context, arms, curve, before, after, rpt, seconds }
  return told
})

const directArm = (examination: Examination) => (name: string, seconds: number, weights: KeptWeights) =>
  Effect.map(examination.direct(weights), (records): Arm => ({ name, how: "direct", seconds, records }))

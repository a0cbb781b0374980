import {
  Advantage,
  Backend,
  draw,
  freshState,
  Optimizer,
  ReplayBuffer,
  Reward,
  Sampler,
  spawnActors,
  Template,
  Verifier
} from "@foretoken/core"
import type { LoadedModel, RunContext } from "@foretoken/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Meter } from "./meter.ts"
import { makeMeter } from "./meter.ts"
import type { StepShape } from "./StepShape.ts"
import { anchorsOf } from "./StepShape.ts"

/** Where the time of a step goes, in this order; the parts add up to the step. */
export type Phase = "sync" | "sample" | "rollouts" | "train" | "optimizer" | "publish"

export interface StepReading {
  readonly seconds: number
  /**
   * sync: the policy into the sampler; sample: its programs; rollouts: draws, parsing, verdicts, buffer; train: forward and
   * backward; optimizer: clipping and AdamW; publish: packing, advantages, the copy of the weights and their hash.
   */
  readonly phases: Readonly<Record<Phase, number>>
  readonly compileSeconds: number
  /** Largest difference between the log-probabilities of sampler and learner, nats. */
  readonly logprobGap: number
  /** Messages that actors handled. */
  readonly messages: number
  /** Share of the rows of the update that are padding. */
  readonly padding: number
}

export interface Stepper {
  readonly step: Effect.Effect<StepReading, Error>
}

/** Any token serves as the tail: what is measured does not depend on what is written. */
const tail = 1

/**
 * A step of RPT of the given shape, over and over, through the actors that a run has: sampler, verifier, buffer, optimizer and
 * store, each with its own messages. Documents are random tokens; no token stops a rollout, so that all have full
 * length; the reward is 1 for every other rollout, so that every group teaches something.
 */
export const makeStepper = Effect.fnUntraced(function* (
  model: LoadedModel,
  shape: StepShape,
  { seed, unit }: { readonly seed: number; readonly unit: number }
): Effect.fn.Return<Stepper, Error, Backend | Scope.Scope> {
  const { stored, tokenizer } = model
  const meter: Meter = makeMeter(yield* Backend)
  const context: RunContext = {
    seed,
    config: stored.config,
    tokenizer,
    template: Template.compact,
    frame: { head: new Int32Array(0), tail: Int32Array.of(tail) },
    stop: []
  }
  const stages = {
    sampler: Sampler.make({ groupSize: shape.group, temperature: 1, maxTokens: shape.tokens }),
    verifier: Verifier.make(Reward.pure("every other", ({ rollout }) => rollout.index % 2)),
    buffer: ReplayBuffer.make({ capacity: shape.documents * shape.positions }),
    optimizer: Optimizer.make({ learningRate: 1e-6, documentsPerMicroBatch: unit })
  }
  const learned = { step: 0, weights: stored.weights, optimizer: freshState }
  const settings = { samplers: 1, timeLimit: Duration.hours(1) }
  const actors = yield* Effect.provideService(spawnActors(stages, context, learned, settings), Backend, meter.backend)
  const { supervisor, store, verifier, buffer, optimizer } = actors
  const [sampler] = actors.samplers
  let steps = 0
  let { policy } = yield* store.ask("Latest")
  const handled = () => supervisor.stats.actors.reduce((sum, actor) => sum + actor.handled, 0)

  const step = Effect.gen(function* () {
    const before = handled()
    meter.take()
    const began = performance.now()
    const synced = yield* Sampler.sync(sampler, policy)
    const current = steps + 1
    for (const sampled of unitsOf(context, shape, unit, steps)) {
      const rollouts = yield* Sampler.sample(synced, sampled)
      const groups = yield* verifier.ask("Verify", { groups: rollouts, policy, baseline: policy })
      yield* buffer.ask("Put", { unit: { step: current, index: sampled.index, policyUpdates: policy.updates, groups } })
    }
    const taken = yield* buffer.ask("Take", { step: current, updates: policy.updates })
    const groups = taken.units.flatMap((one) => one.groups)
    const sampledAt = performance.now()
    const sampling = meter.take()
    const updated = yield* optimizer.ask("Update", { step: current, groups })
    const ended = performance.now()
    const learning = meter.take()
    policy = updated.policy
    steps++

    const [ofSample, ofUpdate] = [(sampledAt - began) / 1000, (ended - sampledAt) / 1000]
    const optimizing = learning.apply + learning.run
    const read: StepReading = {
      seconds: ofSample + ofUpdate,
      phases: {
        sync: sampling.write,
        sample: sampling.run,
        rollouts: ofSample - sampling.write - sampling.run - sampling.compile,
        train: learning.train,
        optimizer: optimizing,
        publish: ofUpdate - learning.train - optimizing - learning.compile
      },
      compileSeconds: sampling.compile + learning.compile,
      logprobGap: updated.metrics["logprob_gap/max"] ?? NaN,
      messages: handled() - before,
      padding: paddingOf(context, stages.optimizer, groups)
    }
    return read
  })
  return { step }
})

/** The documents of a step with their problems, so many at a time. */
const unitsOf = (context: RunContext, shape: StepShape, unit: number, step: number) => {
  const documents = Array.from({ length: shape.documents }, (_, d) => {
    const id = `${step}/${d}`
    const draws = draw.uniforms(context.seed, ["bench", id], shape.context + 1)
    // The one token behind the last anchor is the truth that it asks for.
    const tokens = Int32Array.from(draws, (x) => Math.floor(x * context.config.vocabSize))
    const problems = anchorsOf(shape).map((anchor) => ({
      id: `${id}@${anchor}`,
      document: { id, tokens },
      anchor,
      continuation: { bytes: Uint8Array.of(0), boundaries: [1] }
    }))
    return { epoch: 0, problems }
  })
  return Array.from({ length: Math.ceil(documents.length / unit) }, (_, index) => ({
    index,
    documents: documents.slice(index * unit, (index + 1) * unit)
  }))
}

type Groups = Parameters<typeof Advantage.assign>[1]

const paddingOf = (context: RunContext, stage: Optimizer.OptimizerStage, groups: ReadonlyArray<Groups>): number => {
  const advantaged = groups.map((group) => Advantage.assign(stage.settings.advantage, group))
  const batches = Optimizer.microBatches(context, stage.settings, advantaged)
  const rows = batches.flatMap(({ data: { trunk, branches } }) => [trunk, branches].map(({ data }) => data.length))
  const trunks = Map.groupBy(groups, ({ problem }) => problem.document.id)
  const needed = [
    ...[...trunks.values()].map((own) => Math.max(...own.map(({ problem }) => problem.anchor))),
    ...groups.flatMap(({ rollouts }) => rollouts.map(({ rollout }) => rollout.completion.tokens.length))
  ]
  return 1 - sum(needed) / sum(rows)
}

const sum = (xs: ReadonlyArray<number>): number => xs.reduce((a, b) => a + b, 0)

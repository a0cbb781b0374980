import { Effect, Fiber, Result, Schema, Semaphore } from "effect"
import type { ActorRef } from "../actor/index.ts"
import type { Remember } from "../autodiff/Past.ts"
import * as Protocol from "../actor/Protocol.ts"
import { trainableWeights } from "../model/trainable.ts"
import { digestTensor } from "../model/weights.ts"
import type { KnownDigests } from "../model/weights.ts"
import type { MicroBatch } from "../optim/gradientProgram.ts"
import { freshState, makeLearner } from "../optim/Learner.ts"
import { constant } from "../optim/schedule.ts"
import type { Schedule } from "../optim/schedule.ts"
import type { OptimizerSettings as LearnerSettings, Rule } from "../optim/settings.ts"
import { adamwRule } from "../optim/settings.ts"
import type { Advantage } from "../rl/advantage.ts"
import { assign, grpo } from "../rl/advantage.ts"
import type { Batch, Branches } from "../rl/Batch.ts"
import { bucket, pack } from "../rl/Batch.ts"
import type { AdvantagedGroup, Group as GroupType } from "../rl/Group.ts"
import type { Loss } from "../rl/loss.ts"
import { clipped } from "../rl/loss.ts"
import { policy as policyObjective } from "../rl/objective.ts"
import { BackendError, CompileError, ExecutionError } from "../tensor/Backend.ts"
import { HostTensor } from "../tensor/HostTensor.ts"
import type { HostF32 } from "../tensor/HostTensor.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import { Group, Numbers, Policy } from "./messages.ts"
import { trunkMultiple } from "./packRequest.ts"
import type { PolicyStoreProtocol } from "./PolicyStore.ts"
import type { RunContext } from "./RunContext.ts"

/** Groups of step `step` in, the next policy out. A step that the store has learned already is answered from there. */
export const OptimizerProtocol = Protocol.make(
  Protocol.message("Update", {
    payload: { step: Schema.Int, groups: Schema.Array(Group) },
    success: Schema.Struct({ policy: Policy, metrics: Numbers }),
    error: Schema.Union([CompileError, ExecutionError, BackendError])
  })
)
export type OptimizerProtocol = typeof OptimizerProtocol

export interface OptimizerSettings {
  readonly advantage: Advantage
  readonly loss: Loss
  readonly rule: Rule
  readonly schedule: Schedule
  /** Largest global gradient norm */
  readonly maxNorm: number
  /** Weights that are left alone, by patterns of their names (`trainableWeights`); of adapters only those can be named. */
  readonly frozen: ReadonlyArray<string>
  /** Documents that go through the model at a time; gradients of all add up. */
  readonly documentsPerMicroBatch: number
  /** What gradients remember of the forward pass: "layers" takes less memory and more time, and gives the same. */
  readonly remember: Remember
  /** Programs that are kept, one for each shape of a micro-batch, each with the memory that it has once used. */
  readonly programsKept: number
}

/** How an update is cut: it never changes what is optimised. */
export type Cut = Pick<OptimizerSettings, "documentsPerMicroBatch" | "remember" | "programsKept">

/** Settings as a user writes them: `learningRate` alone is AdamW at a constant rate. */
export type OptimizerOptions = Partial<OptimizerSettings> & { readonly learningRate?: number }

/** Stands apart from `Stage`: an optimizer also needs the store that it publishes to and goes on from. */
export interface OptimizerStage {
  readonly protocol: OptimizerProtocol
  readonly settings: OptimizerSettings
  readonly make: (context: RunContext, store: ActorRef<PolicyStoreProtocol>) => ReturnType<typeof makeHandlers>
  /** The same, cut another way. */
  readonly cut: (how: Cut) => OptimizerStage
}

/**
 * Defaults: the paper's GRPO and learning rate 1e-6, clip-higher, gradient norm at most 1. What learns is the model, or a
 * stand-in for it.
 */
export const make = (
  { learningRate = 1e-6, ...given }: OptimizerOptions = {},
  learnerOf = makeLearner
): OptimizerStage => {
  const settings: OptimizerSettings = {
    advantage: grpo,
    loss: clipped({ low: 0.2, high: 0.28 }),
    rule: adamwRule({ learningRate, beta2: 0.95 }),
    schedule: constant(1),
    maxNorm: 1,
    frozen: [],
    documentsPerMicroBatch: 2,
    remember: "all",
    programsKept: programsKept.training,
    ...given
  }
  return {
    protocol: OptimizerProtocol,
    settings,
    make: (context, store) => makeHandlers(context, settings, store, learnerOf),
    cut: (how) => make({ ...settings, ...how }, learnerOf)
  }
}

const makeHandlers = Effect.fnUntraced(function* (
  context: RunContext,
  settings: OptimizerSettings,
  store: ActorRef<PolicyStoreProtocol>,
  learnerOf: typeof makeLearner
) {
  let current = yield* store.ask("Latest")
  const programs = yield* makeBoundedProgramCache(settings.programsKept)
  const { rule, schedule, maxNorm, frozen, remember } = settings
  const optimizer: LearnerSettings = { rule, schedule, maxNorm }
  const { policy, optimizer: state } = current
  const { config } = context
  const { weights } = policy
  // A run is not begun with patterns that do not fit its model.
  const trainable = Result.getOrThrow(trainableWeights(config, frozen))
  const learner = yield* learnerOf({ config, weights, trainable, optimizer, state, programs, remember })
  /** The state before the last, where nobody reads it any more. */
  let spare = freshState
  /** Weights are digested as they arrive; those that training leaves alone are the same ones every time. */
  const digests: KnownDigests = new WeakMap()
  // Slices of several at once would come one upon the other, and a timer behind all of them.
  const oneAtATime = Semaphore.withPermits(yield* Semaphore.make(1), 1)

  const update = Effect.fnUntraced(function* ({ step, groups }: Update) {
    if (step === current.step) return { policy: current.policy, metrics: current.metrics }
    const advantaged = groups.map((group) => assign(settings.advantage, group))
    const batches = microBatches(context, settings, advantaged)
    if (batches.length === 0) return { policy: current.policy, metrics: { "update/skipped": 1 } }
    const scope = yield* Effect.scope
    const hashing: Array<Fiber.Fiber<void>> = []
    const hash = (weight: HostF32) =>
      Effect.map(Effect.forkIn(oneAtATime(digestTensor(weight, digests)), scope), (fiber) => void hashing.push(fiber))
    const updated = yield* learner.updateAndCopy(batches, { spare: spare.moments, arrived: hash })
    yield* Fiber.joinAll(hashing)
    const { weights, state } = updated
    const { objective, skipped, ...measured } = updated.metrics
    const metrics = { ...measured, ...objective, "update/skipped": skipped }
    const learned = { step, weights, optimizer: state, metrics, digests }
    // The store outlives this actor: if it cannot be reached the run is over, so its failures are defects here.
    const published = yield* Effect.orDie(store.ask("Publish", learned))
    current = published.learned
    spare = published.spare
    return { policy: current.policy, metrics }
  }, Effect.scoped)

  return { Update: update }
})

interface Update {
  readonly step: number
  readonly groups: ReadonlyArray<GroupType>
}

/**
 * The batch cut by documents. Groups whose advantages are all zero have no gradient and are left out; their tokens still
 * count in the mean of the loss.
 */
export const microBatches = (
  { frame, config }: Pick<RunContext, "frame" | "config">,
  { loss, documentsPerMicroBatch }: Pick<OptimizerSettings, "loss" | "documentsPerMicroBatch">,
  groups: ReadonlyArray<AdvantagedGroup>
): ReadonlyArray<MicroBatch> => {
  const moving = groups.filter(({ rollouts }) => rollouts.some(({ advantage }) => advantage !== 0))
  const counts = { tokenCount: tokensOf(groups), tokensRead: tokensOf(moving) }
  const documents = [...Map.groupBy(moving, ({ problem }) => problem.document.id).values()]
  const cuts = Array.from({ length: Math.ceil(documents.length / documentsPerMicroBatch) }, (_, i) =>
    documents.slice(i * documentsPerMicroBatch, (i + 1) * documentsPerMicroBatch)
  )
  return cuts.map((cut) => {
    const own = cut.flat()
    const size = own[0].rollouts.length + own[0].excluded
    const most = Math.max(...cut.map((ofDocument) => ofDocument.length))
    const branches = size * 2 ** Math.ceil(Math.log2(most))
    const longest = frame.head.length + Math.max(...own.map(({ problem }) => problem.anchor))
    const padding = { documents: documentsPerMicroBatch, branches, trunkLength: bucket(longest, trunkMultiple) }
    return policyMicroBatch(loss, pack(frame, own, padding), counts, config.vocabSize)
  })
}

const tokensOf = (groups: ReadonlyArray<AdvantagedGroup>): number =>
  groups.flatMap(({ rollouts }) => rollouts).reduce((sum, { rollout }) => sum + rollout.completion.tokens.length, 0)

const policyMicroBatch = (
  loss: Loss,
  batch: Batch,
  { tokenCount, tokensRead }: { readonly tokenCount: number; readonly tokensRead: number },
  vocabSize: number
): MicroBatch => {
  const { trunk, branches, temperature } = batch
  const { documents, branches: count, length, tailLength } = branches
  const perToken = [documents, count, length]
  return {
    key: `policy ${JSON.stringify(loss)} tail ${tailLength} temperature ${temperature}`,
    objective: policyObjective(loss, tailLength, temperature),
    data: {
      trunk: HostTensor.i32([documents, trunk.length], trunk.tokens),
      branches: HostTensor.i32(perToken, branches.tokens),
      anchors: HostTensor.i32([documents, count], branches.anchors),
      mask: HostTensor.f32(perToken, branches.mask),
      behaviourLogprobs: HostTensor.f32(perToken, batch.behaviourLogprobs),
      advantages: HostTensor.f32([documents, count], batch.advantages),
      tokenCount: HostTensor.f32([], [tokenCount]),
      tokensRead: HostTensor.f32([], [tokensRead]),
      ...worthwhileTargets(branches, vocabSize)
    }
  }
}

/** Target tokens are filled up to a multiple of this, so that few shapes are compiled. */
const targetMultiple = 128

/** Logits that have to be spared before picking the targets out costs less than it saves. */
const logitsWorthSparing = 2 ** 22

/** Which tokens are targets, by their places over [D,B,L], where many are not. Place 0, of a tail, fills up. */
const worthwhileTargets = ({ mask, tailLength, length }: Branches, vocabSize: number) => {
  const places = Array.from(mask.keys()).filter((place) => mask[place] === 1)
  const count = bucket(places.length, targetMultiple)
  const all = (mask.length / length) * (length - tailLength)
  if ((all - count) * vocabSize < logitsWorthSparing) return {}
  return { targets: HostTensor.i32([count], [...places, ...new Int32Array(count - places.length)]) }
}

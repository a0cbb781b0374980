import { Effect, Scope } from "effect"
import type { Remember } from "../autodiff/Past.ts"
import type { ModelConfig } from "../model/ModelConfig.ts"
import { hostF32 } from "../model/Scorer.ts"
import type { KeptWeights, Weights } from "../model/weights.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import { clipScale } from "../routine/clip.ts"
import { muonApplies } from "../routine/muon.ts"
import type { Routine } from "../routine/Routine.ts"
import type { BackendError, Buffer, CompileError, ExecutionError, Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import { compile } from "../tensor/Executable.ts"
import type { TensorType } from "../tensor/HostTensor.ts"
import { HostTensor as Host } from "../tensor/HostTensor.ts"
import { bytesOf } from "../tensor/liveness.ts"
import { constant } from "../tensor/operations.ts"
import type { ProgramCache } from "../tensor/ProgramCache.ts"
import { showType } from "../tensor/Shape.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { CopyTarget } from "./copies.ts"
import { beginCopies, copyMoments, copyWeights, weightOf } from "./copies.ts"
import type { MicroBatch } from "./gradientProgram.ts"
import { gradientProgram } from "./gradientProgram.ts"
import { orthogonalize } from "./orthogonalize.ts"
import { inParts } from "./parts.ts"
import { learningRate } from "./schedule.ts"
import { makeReusedMemory, policiesReused } from "./reusedMemory.ts"
import type { OptimizerSettings } from "./settings.ts"

/** Moments of the optimizer by `<weight>.m`, `.v`, `.momentum`, and the updates made: with the weights, all of its state. */
export interface LearnerState {
  readonly updates: number
  readonly moments: Weights
}

/** The state of an optimizer that has made no update. */
export const freshState: LearnerState = { updates: 0, moments: {} }

export interface UpdateMetrics {
  readonly loss: number
  /** Global norm before clipping. */
  readonly grad_norm: number
  /** Share of the peak learning rates. */
  readonly learning_rate: number
  /** 1 where the gradient was not finite and the weights were left alone. */
  readonly skipped: number
  /** What the objective reports. */
  readonly objective: Readonly<Record<string, number>>
}

export type LearnerError = CompileError | ExecutionError | BackendError

/**
 * Weights in training with the state of their optimizer, all of it on the backend. An update adds up the gradients of its
 * micro-batches in order, clips them by global norm, and applies the rule; nothing as large as the weights comes to the
 * host for it.
 */
export interface Learner {
  readonly config: ModelConfig
  /** Live: they change with every update. */
  readonly weights: WeightsOf<Buffer>
  /** At least one micro-batch. */
  readonly update: (batches: ReadonlyArray<MicroBatch>) => Effect.Effect<UpdateMetrics, LearnerError>
  /** The weights as they are: copies of those that updates move, the others as they were given. */
  readonly snapshot: Effect.Effect<KeptWeights, BackendError>
  /** A copy of the optimizer's state. */
  readonly state: Effect.Effect<LearnerState, BackendError>
  /** The same in the memory of moments that nobody reads any more: nothing as large as the model is allocated. */
  readonly stateIn: (spare: Weights) => Effect.Effect<LearnerState, BackendError>
  /** An update, and copies of what comes of it, which are begun while it is under way. */
  readonly updateAndCopy: (
    batches: ReadonlyArray<MicroBatch>,
    target: CopyTarget
  ) => Effect.Effect<Updated, LearnerError>
}

/** An update, and weights and state after it. */
export interface Updated {
  readonly metrics: UpdateMetrics
  readonly weights: KeptWeights
  readonly state: LearnerState
}

export interface LearnerOptions {
  readonly config: ModelConfig
  /** Those that updates move in f32, the others as they are kept. */
  readonly weights: KeptWeights
  /** Names of the weights that updates move; the others have neither gradient nor moments. Default: all. */
  readonly trainable?: ReadonlyArray<string>
  readonly optimizer: OptimizerSettings
  readonly state: LearnerState
  readonly programs: ProgramCache
  /** What gradients remember of the forward pass; "layers" takes less memory and more time, and gives the same. Default: all. */
  readonly remember?: Remember
}

export const makeLearner = (options: LearnerOptions): Effect.Effect<Learner, BackendError, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const { config, optimizer, programs, remember = "all" } = options
    const { rule } = optimizer
    const backend = yield* Backend
    const scope = yield* Effect.scope
    const all = Object.keys(options.weights).toSorted()
    const trainable = new Set(options.trainable ?? all)
    /** Those that updates move. */
    const names = all.filter((name) => trainable.has(name))
    const types: WeightsOf<TensorType> = Object.fromEntries(all.map((name) => [name, typeOf(options.weights[name])]))
    const weights: Record<string, Buffer> = {}
    const uploads = yield* Effect.forEach(all, (name) => backend.upload(options.weights[name]), { concurrency: 2 })
    for (const [i, name] of all.entries()) weights[name] = uploads[i]
    const moments = new Map<string, Buffer>()
    for (const [key, { data }] of Object.entries(options.state.moments)) {
      const { shape } = types[weightOf(key)] ?? { shape: [data.length] }
      moments.set(key, yield* backend.upload(Host.f32(shape, data)))
    }
    let updates = options.state.updates

    /** The moment of each of some weights; zeros at first. */
    const momentsOf = Effect.fnUntraced(function* (of: ReadonlyArray<string>, kind: "m" | "v" | "momentum") {
      const missing = of.filter((name) => !moments.has(`${name}.${kind}`))
      if (missing.length > 0) {
        const zeros = () => missing.map((name) => constant(Host.f32([], [0])).broadcastTo(types[name].shape))
        const program = yield* programs.get(`zeros ${kind}`, compile("zeros", zeros, {}, "resident"))
        const made = yield* Scope.provide(program.run({}), scope)
        for (const [i, name] of missing.entries()) moments.set(`${name}.${kind}`, resident(made[i]))
      }
      return of.flatMap((name) => moments.get(`${name}.${kind}`) ?? [])
    })

    /** Gradients of all micro-batches, in the order of `names`, and the sums of what they report. */
    const accumulate = Effect.fnUntraced(function* (batches: ReadonlyArray<MicroBatch>) {
      const reported = new Map<string, number>()
      let totals: ReadonlyArray<Buffer> = []
      let loss = 0
      const run = Effect.fnUntraced(function* (batch: MicroBatch) {
        const program = yield* gradientProgram(config, types, names, batch, remember, programs)
        const outputs = yield* program.run({ weights, data: batch.data })
        loss += hostF32(outputs.loss)[0]
        for (const [name, sum] of Object.entries(outputs.sums)) {
          reported.set(name, (reported.get(name) ?? 0) + hostF32(sum)[0])
        }
        for (const [name, maximum] of Object.entries(outputs.maxima)) {
          reported.set(name, Math.max(reported.get(name) ?? -Infinity, hostF32(maximum)[0]))
        }
        return names.map((name) => resident(outputs.gradients[name]))
      })
      const add = (batch: MicroBatch) =>
        Effect.scoped(Effect.flatMap(run(batch), (parts) => backend.apply({ _tag: "add", totals, parts })))
      const [first, ...others] = batches
      totals = yield* run(first)
      for (const batch of others) yield* add(batch)
      return { loss, gradients: totals, objective: Object.fromEntries(reported) }
    })

    /** Directions made orthogonal where they are, all in one run. */
    const orthogonal = Effect.fnUntraced(function* (directions: ReadonlyArray<Buffer>) {
      const matrices = directions.map(({ type }) => type)
      const name = `orthogonalize ${matrices.map(showType).join(" ")}`
      const each = (all: ReadonlyArray<Tensor>) => all.map(orthogonalize)
      const inPlace = Object.fromEntries(matrices.map((_, i) => [i, { donate: i }]))
      const program = yield* programs.get(name, compile("orthogonalize", each, matrices, inPlace))
      yield* program.run(directions)
    })

    /**
     * Updates in parts; `moved` is run for the weights of a part that has moved, while others do. `share` is that of the peak
     * learning rates, `scale` what gradients are clipped by.
     */
    const move = Effect.fnUntraced(function* (
      gradients: ReadonlyArray<Buffer>,
      { share, scale }: { readonly share: number; readonly scale: number },
      moved: Moved
    ) {
      const step = updates + 1
      const scaled = <A extends { readonly learningRate: number }>(settings: A): A => ({
        ...settings,
        learningRate: settings.learningRate * share
      })
      const byMuon = (name: string) => rule._tag === "muon" && muonApplies(name, types[name].shape)
      const gradientsOf = (of: ReadonlyArray<string>) => of.map((name) => gradients[names.indexOf(name)])
      const weightsOf = (of: ReadonlyArray<string>) => of.map((name) => weights[name])
      const partsOf = (of: ReadonlyArray<string>) => inParts(of, (name) => bytesOf(types[name]))
      const parts: Array<{ readonly names: ReadonlyArray<string>; readonly routine: Routine }> = []
      if (rule._tag === "muon") {
        const matrices = names.filter(byMuon)
        const settings = scaled(rule.muon)
        const all = gradientsOf(matrices)
        const momentum = yield* momentsOf(matrices, "momentum")
        yield* backend.apply({ _tag: "muonDirection", gradients: all, momentum, settings, scale })
        yield* orthogonal(all)
        for (const names of partsOf(matrices)) {
          const directions = gradientsOf(names)
          parts.push({ names, routine: { _tag: "muonApply", weights: weightsOf(names), directions, settings } })
        }
      }
      const rest = names.filter((name) => !byMuon(name))
      const settings = scaled(rule.adamw)
      yield* momentsOf(rest, "m")
      yield* momentsOf(rest, "v")
      for (const names of partsOf(rest)) {
        const own = { weights: weightsOf(names), gradients: gradientsOf(names) }
        const [m, v] = [yield* momentsOf(names, "m"), yield* momentsOf(names, "v")]
        parts.push({ names, routine: { _tag: "adamw", ...own, m, v, settings, step, scale } })
      }
      yield* Effect.forEach(parts, ({ names, routine }) => Effect.andThen(backend.apply(routine), moved(names)), {
        concurrency: partsUnderWay,
        discard: true
      })
      updates = step
    })

    const update = Effect.fnUntraced(function* (batches: ReadonlyArray<MicroBatch>, moved: Moved) {
      const { loss, gradients, objective } = yield* accumulate(batches)
      const [norm] = yield* backend.apply({ _tag: "norm", gradients })
      const share = learningRate(optimizer.schedule, updates + 1)
      const metrics = { loss, grad_norm: norm, learning_rate: share, objective }
      if (!Number.isFinite(norm)) return { ...metrics, skipped: 1 }
      yield* move(gradients, { share, scale: clipScale(norm, optimizer.maxNorm) }, moved)
      return { ...metrics, skipped: 0 }
    }, Effect.scoped)

    const moving = new Map(names.map((name) => [name, weights[name]]))
    const bytes = names.reduce((sum, name) => sum + bytesOf(types[name]), 0)
    const memory = makeReusedMemory(policiesReused(bytes))
    const withOthers = (moved: Weights): KeptWeights => ({ ...options.weights, ...moved })

    const updateAndCopy = Effect.fnUntraced(function* (batches: ReadonlyArray<MicroBatch>, target: CopyTarget) {
      const copies = beginCopies(backend.read, moving, moments, memory, target)
      const metrics = yield* update(batches, copies.of)
      const copied = yield* copies.rest
      return { metrics, weights: withOthers(copied.weights), state: { updates, moments: copied.moments } }
    })

    const stateIn = (spare: Weights) =>
      Effect.map(copyMoments(backend.read, moments, spare), (copied) => ({ updates, moments: copied }))

    return {
      config,
      weights,
      update: (batches) =>
        Effect.provideService(
          update(batches, () => Effect.void),
          Backend,
          backend
        ),
      snapshot: Effect.map(copyWeights(backend.read, moving, memory), withOthers),
      state: Effect.suspend(() => stateIn({})),
      stateIn,
      updateAndCopy: (batches, target) => Effect.provideService(updateAndCopy(batches, target), Backend, backend)
    }
  })

/** What is done about weights that have moved. */
type Moved = (names: ReadonlyArray<string>) => Effect.Effect<void, BackendError>

/** Parts of an update that are asked for before the first is done with: the backend is not to wait for what is done here. */
const partsUnderWay = 2

const typeOf = ({ dtype, shape }: TensorType): TensorType => ({ dtype, shape })

const resident = (value: Value): Buffer => {
  if ("_tag" in value) return value
  throw new TypeError("a resident output came to the host")
}

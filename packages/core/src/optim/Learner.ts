import { Effect, Option } from "effect"
import type { Scope } from "effect"
import type { ModelConfig } from "../model/ModelConfig.ts"
import type { Weights } from "../model/weights.ts"
import type { WeightsOf } from "../model/Transformer.ts"
import type { BackendError, Buffer, CompileError, ExecutionError, Value } from "../tensor/Backend.ts"
import { Backend } from "../tensor/Backend.ts"
import { compile } from "../tensor/Executable.ts"
import type { HostF32, TensorType } from "../tensor/HostTensor.ts"
import { HostTensor as Host, sizeOf } from "../tensor/HostTensor.ts"
import type { ProgramCache } from "../tensor/ProgramCache.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { AdamW } from "./adamw.ts"
import { adamw, decays } from "./adamw.ts"
import { clipGlobalNorm } from "./clip.ts"
import type { MicroBatch } from "./gradientProgram.ts"
import { gradientProgram } from "./gradientProgram.ts"
import type { Muon } from "./muon.ts"
import { muonApplies, muonApply, muonDirection } from "./muon.ts"
import { orthogonalize } from "./orthogonalize.ts"
import { learningRate } from "./schedule.ts"
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
 * Weights in training, on the backend, and the state of their optimizer. An update adds up the gradients of its
 * micro-batches in order, clips them by global norm, and applies the rule on the host: in the buffers' own memory where
 * the backend keeps them there, else by reading and writing back.
 */
export interface Learner {
  readonly config: ModelConfig
  /** Live: they change with every update. */
  readonly weights: WeightsOf<Buffer>
  readonly update: (batches: ReadonlyArray<MicroBatch>) => Effect.Effect<UpdateMetrics, LearnerError>
  /** A copy of the weights as they are. */
  readonly snapshot: Effect.Effect<Weights, BackendError>
  /** A copy of the optimizer's state. */
  readonly state: Effect.Effect<LearnerState>
}

export interface LearnerOptions {
  readonly config: ModelConfig
  readonly weights: Weights
  readonly optimizer: OptimizerSettings
  readonly state: LearnerState
  readonly programs: ProgramCache
}

export const makeLearner = (options: LearnerOptions): Effect.Effect<Learner, BackendError, Backend | Scope.Scope> =>
  Effect.gen(function* () {
    const { config, optimizer, programs } = options
    const { rule } = optimizer
    const backend = yield* Backend
    const names = Object.keys(options.weights).toSorted()
    const types: WeightsOf<TensorType> = Object.fromEntries(names.map((name) => [name, typeOf(options.weights[name])]))
    const weights: Record<string, Buffer> = {}
    for (const name of names) weights[name] = yield* backend.upload(options.weights[name])
    const moments = new Map(Object.entries(options.state.moments).map(([name, { data }]) => [name, data.slice()]))
    let updates = options.state.updates

    const moment = (name: string, size: number): Float32Array => {
      const array = moments.get(name) ?? new Float32Array(size)
      moments.set(name, array)
      return array
    }

    /** The elements of f32 values: their own memory where the host has it, else a copy. */
    const elements = (value: Value): Effect.Effect<Float32Array, BackendError> => {
      const host =
        "_tag" in value
          ? Option.match(backend.view(value), { onNone: () => backend.read(value), onSome: Effect.succeed })
          : Effect.succeed(value)
      return Effect.map(host, ({ data }) => data as Float32Array) // f32, as weights and gradients are
    }

    /** Gradients of all micro-batches, in the order of `names`, and the sums of what they report. */
    const accumulate = Effect.fnUntraced(function* (batches: ReadonlyArray<MicroBatch>) {
      const totals = names.map((name) => new Float32Array(sizeOf(types[name].shape)))
      const reported = new Map<string, number>()
      let loss = 0
      for (const batch of batches) {
        const program = yield* gradientProgram(config, types, batch, programs)
        const outputs = yield* program.run({ weights, data: batch.data })
        loss += (yield* elements(outputs.loss))[0]
        for (const [name, sum] of Object.entries(outputs.sums)) {
          reported.set(name, (reported.get(name) ?? 0) + (yield* elements(sum))[0])
        }
        for (const [name, maximum] of Object.entries(outputs.maxima)) {
          reported.set(name, Math.max(reported.get(name) ?? -Infinity, (yield* elements(maximum))[0]))
        }
        for (const [i, name] of names.entries()) addTo(totals[i], yield* elements(outputs.gradients[name]))
      }
      return { loss, gradients: totals, objective: Object.fromEntries(reported) }
    }, Effect.scoped)

    const byMuon = (name: string) => rule._tag === "muon" && muonApplies(name, types[name].shape)

    /** All of Muon's directions made orthogonal, in one run. */
    const orthogonal = Effect.fnUntraced(function* (directions: Readonly<Record<string, Float32Array>>) {
      const matrices = Object.fromEntries(Object.keys(directions).map((name) => [name, types[name]]))
      const program = yield* programs.get(
        "orthogonalize",
        compile("orthogonalize", (all: WeightsOf<Tensor>) => mapRecord(all, orthogonalize), matrices, "host")
      )
      const outputs = yield* program.run(mapRecord(directions, (data, name) => Host.f32(types[name].shape, data)))
      const made: Record<string, Float32Array> = {}
      for (const [name, output] of Object.entries(outputs)) made[name] = yield* elements(output)
      return made
    }, Effect.scoped)

    const moveByAdamW = (
      name: string,
      weight: Float32Array,
      gradient: Float32Array,
      settings: AdamW,
      scale: number
    ) => {
      const rate = { learningRate: settings.learningRate * scale, step: updates }
      const weightDecay = decays(types[name].shape) ? settings.weightDecay : 0
      const m = moment(`${name}.m`, weight.length)
      const v = moment(`${name}.v`, weight.length)
      adamw(weight, gradient, m, v, { ...settings, ...rate, weightDecay })
    }

    const moveByMuon = (name: string, weight: Float32Array, matrix: Float32Array, settings: Muon, scale: number) => {
      const [rows, columns] = types[name].shape
      const rate = { ...settings, learningRate: settings.learningRate * scale }
      muonApply(weight, matrix, [rows, columns], rate)
    }

    const muonDirections = (gradients: ReadonlyArray<Float32Array>, settings: Muon) => {
      const matrices = names.flatMap((name, i) => (byMuon(name) ? [[name, gradients[i]] as const] : []))
      return Object.fromEntries(
        matrices.map(([name, gradient]) => {
          const direction = new Float32Array(gradient.length)
          muonDirection(gradient, moment(`${name}.momentum`, gradient.length), direction, settings)
          return [name, direction]
        })
      )
    }

    const move = Effect.fnUntraced(function* (gradients: ReadonlyArray<Float32Array>, scale: number) {
      const made = rule._tag === "muon" ? yield* orthogonal(muonDirections(gradients, rule.muon)) : {}
      for (const [i, name] of names.entries()) {
        const weight = yield* elements(weights[name])
        if (rule._tag === "muon" && byMuon(name)) moveByMuon(name, weight, made[name], rule.muon, scale)
        else moveByAdamW(name, weight, gradients[i], rule.adamw, scale)
        if (Option.isNone(backend.view(weights[name]))) {
          yield* backend.write(weights[name], Host.f32(types[name].shape, weight))
        }
      }
    })

    const update = Effect.fnUntraced(function* (batches: ReadonlyArray<MicroBatch>) {
      const { loss, gradients, objective } = yield* accumulate(batches)
      const clipped = clipGlobalNorm(gradients, optimizer.maxNorm)
      const scale = learningRate(optimizer.schedule, updates + 1)
      const metrics = { loss, grad_norm: clipped.norm, learning_rate: scale, objective }
      if (clipped._tag === "non-finite") return { ...metrics, skipped: 1 }
      updates++
      yield* move(gradients, scale)
      return { ...metrics, skipped: 0 }
    })

    const copy = (name: string) =>
      Effect.map(elements(weights[name]), (data): [string, HostF32] => [
        name,
        Host.f32(types[name].shape, data.slice())
      ])

    return {
      config,
      weights,
      update: (batches) => Effect.provideService(update(batches), Backend, backend),
      snapshot: Effect.map(Effect.forEach(names, copy), Object.fromEntries<HostF32>),
      state: Effect.sync(() => ({
        updates,
        moments: Object.fromEntries([...moments].map(([name, data]) => [name, Host.f32([data.length], data.slice())]))
      }))
    }
  })

const typeOf = ({ dtype, shape }: TensorType): TensorType => ({ dtype, shape })

const mapRecord = <A, B>(record: Readonly<Record<string, A>>, f: (value: A, name: string) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, f(value, name)]))

const addTo = (total: Float32Array, part: Float32Array): void => {
  for (let i = 0; i < total.length; i++) total[i] += part[i]
}

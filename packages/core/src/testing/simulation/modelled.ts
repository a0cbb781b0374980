/**
 * A world in small for the real pipeline: a backend that computes nothing, a model of two numbers whose completions follow from
 * them and the draws, and a learner whose update follows from its batch. Each takes the time that it is told to.
 */
import { Effect, Result } from "effect"
import * as Corpus from "../../data/Corpus.ts"
import { tokenizer } from "../../data/Synthetic.ts"
import type { Generator, GeneratorSettings, Request, SampledCompletion } from "../../model/Generator.ts"
import { llamaFeatures, makeModelConfig } from "../../model/ModelConfig.ts"
import type { ModelConfig } from "../../model/ModelConfig.ts"
import type { WeightsOf } from "../../model/Transformer.ts"
import { initialWeights } from "../../model/weights.ts"
import type { Weights } from "../../model/weights.ts"
import type { MicroBatch } from "../../optim/gradientProgram.ts"
import type { Learner, LearnerOptions, LearnerState } from "../../optim/Learner.ts"
import * as Optimizer from "../../pipeline/Optimizer.ts"
import type { LoadedModel } from "../../pipeline/policySource.ts"
import * as Sampler from "../../pipeline/Sampler.ts"
import * as Verifier from "../../pipeline/Verifier.ts"
import { compact } from "../../prompt/Template.ts"
import * as Reward from "../../reward/Reward.ts"
import * as Loss from "../../rl/loss.ts"
import { Backend } from "../../tensor/Backend.ts"
import type { Buffer, Value } from "../../tensor/Backend.ts"
import { HostTensor, sizeOf } from "../../tensor/HostTensor.ts"
import type { HostF32, HostTensor as Tensor, TensorType } from "../../tensor/HostTensor.ts"

/** Holds what was uploaded. */
class Held implements Buffer {
  readonly _tag = "Buffer"
  value: Tensor

  constructor(value: Tensor) {
    this.value = value
  }

  get type(): TensorType {
    return this.value
  }
}

const held = (buffer: Value): Tensor => {
  if (buffer instanceof Held) return buffer.value
  if ("_tag" in buffer) throw new TypeError("a buffer of another backend")
  return buffer
}

const copied = (value: Tensor): Tensor => HostTensor.make(value.dtype, value.shape, value.data.slice())

/** Programs of ones: every position of every text is equally hard. */
const ones = ({ dtype, shape }: TensorType): Tensor =>
  HostTensor.make(
    dtype,
    shape,
    Array.from({ length: sizeOf(shape) }, () => 1)
  )

export const backend: (typeof Backend)["Service"] = {
  name: "modelled",
  compile: (graph) => Effect.succeed({ run: () => Effect.sync(() => graph.outputs.map(({ type }) => ones(type))) }),
  upload: (value) => Effect.sync(() => new Held(copied(value))),
  write: (buffer, value) => Effect.sync(() => void ((buffer as Held).value = copied(value))), // no other is ever made
  read: (buffer) => Effect.sync(() => copied(held(buffer))),
  apply: () => Effect.succeed([]),
  thread: () =>
    Effect.sync((): { backend: (typeof Backend)["Service"]; isAlive: () => boolean } => ({
      backend,
      isAlive: () => true
    }))
}

/** The weights that matter; the others are there because a model has them. */
const own = "model.norm.weight"

export const policy: LoadedModel = (() => {
  const config = Result.getOrThrow(
    makeModelConfig({
      ...llamaFeatures,
      vocabSize: tokenizer.vocabSize,
      hiddenSize: 2,
      intermediateSize: 1,
      layers: 1,
      heads: 1,
      kvHeads: 1,
      headDim: 2,
      tieWordEmbeddings: true,
      maxPositions: 64,
      bos: { _tag: "one", id: tokenizer.bos ?? 0 },
      eos: { _tag: "one", id: tokenizer.eos ?? 0 }
    })
  )
  return { stored: { config, weights: initialWeights(config, 1), tokenizerFiles: {} }, tokenizer }
})()

const days = ["Sunday", "Friday", "Monday", "Tuesday", "Saturday"]
const problems = Corpus.fromDocuments(
  "modelled",
  days.map((day, i) => ({ id: `text-${i}`, text: `Today the fair opens ${day}.` }))
).pipe(Corpus.nextToken({ minEntropy: 0, minimumContext: 2, positionsPerDocument: 1, maxTokens: 8 }))

/** How long things take, in milliseconds. */
export interface Latencies {
  /** Of a unit: `request` is where its draws come from. */
  readonly sample: (request: Request) => number
  readonly update: number
}

/** Tokens from the weights and the draws alone, as a model's are. */
const generatorOf =
  ({ sample }: Latencies) =>
  (config: ModelConfig, { groupSize, maxTokens, stop }: GeneratorSettings): Effect.Effect<Generator> =>
    Effect.succeed({
      generate: (weights: WeightsOf<Value>, request: Request) =>
        Effect.suspend(() => {
          // What they are when it begins, whatever is loaded meanwhile.
          const [a, b] = held(weights[own]).data as Float32Array // weights are f32
          const rows = request.trunk.documents * request.positions * groupSize
          const drawn = (row: number, i: number) => (request.uniforms[i * rows + row] + Math.abs(977 * a + 131 * b)) % 1
          const completion = (row: number): SampledCompletion => {
            const tokens = Array.from({ length: maxTokens }, (_, i) => Math.floor(drawn(row, i) * config.vocabSize))
            const stopped = tokens.findIndex((token) => stop.includes(token))
            const length = stopped < 0 ? maxTokens : stopped + 1
            return {
              tokens: Int32Array.from(tokens.slice(0, length)),
              logprobs: Float32Array.from({ length }, (_, i) => -drawn(row, i)),
              ended: stopped < 0 ? "length" : "stop"
            }
          }
          const completions = Array.from({ length: rows }, (_, row) => completion(row))
          return Effect.delay(Effect.succeed(completions), sample(request))
        })
    })

/** Moves the weights by what the batch says, with a momentum, so that nothing that is lost or doubled goes unnoticed. */
const learnerOf =
  ({ update }: Latencies) =>
  ({ config, weights: given, state }: LearnerOptions): Effect.Effect<Learner> =>
    Effect.sync(() => {
      const weights = Object.fromEntries(
        Object.entries(given).map(([name, { shape, data }]) => [name, HostTensor.f32(shape, data.slice())])
      )
      const momentum = state.moments[`${own}.m`]?.data.slice() ?? new Float32Array(2)
      let updates = state.updates
      const step = (batches: ReadonlyArray<MicroBatch>) => {
        const gradient = batches.reduce((sum, { data }) => sum + signal(data["advantages"], data["branches"]), 0)
        const { data } = weights[own]
        for (let i = 0; i < momentum.length; i++) {
          momentum[i] = 0.9 * momentum[i] + (i + 1) * gradient
          data[i] += 0.01 * momentum[i]
        }
        updates++
        return { loss: gradient, grad_norm: Math.abs(gradient), learning_rate: 1, skipped: 0, objective: {} }
      }
      const stateIn = (spare: Weights): LearnerState => {
        const data = spare[`${own}.m`]?.data ?? new Float32Array(momentum.length)
        data.set(momentum)
        return { updates, moments: { [`${own}.m`]: HostTensor.f32([data.length], data) } }
      }
      const updated: Learner["update"] = (batches) =>
        Effect.andThen(
          Effect.sleep(update),
          Effect.sync(() => step(batches))
        )
      return {
        config,
        weights: {},
        update: updated,
        snapshot: Effect.sync(() => copyOf(weights)),
        state: Effect.sync(() => stateIn({})),
        stateIn: (spare) => Effect.sync(() => stateIn(spare)),
        updateAndCopy: Effect.fnUntraced(function* (batches, { spare, arrived }) {
          const metrics = yield* updated(batches)
          const copied = copyOf(weights)
          yield* Effect.forEach(Object.values(copied), arrived, { discard: true })
          return { metrics, weights: copied, state: stateIn(spare) }
        })
      }
    })

const copyOf = (weights: Weights): Weights =>
  Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]): [string, HostF32] => [
      name,
      HostTensor.f32(shape, data.slice())
    ])
  )

/** A number that depends on every advantage, every token and their order. */
const signal = (advantages: Tensor, branches: Tensor): number => {
  const width = branches.data.length / advantages.data.length
  return Array.from(advantages.data).reduce((sum, advantage, row) => {
    const tokens = Array.from(branches.data.subarray(row * width, (row + 1) * width))
    return sum + advantage * (1 + tokens.reduce((hash, token) => (31 * hash + token) % 997, row) / 997)
  }, 0)
}

/** Hardly any two completions are worth the same: every group has something to learn from. */
const meanId = Reward.pure("meanId", ({ rollout: { completion } }) => {
  const { tokens } = completion
  return tokens.reduce((sum, id) => sum + id, 0) / tokens.length
})

export const stages = (latencies: Latencies) => ({
  policy,
  problems,
  template: compact,
  sampler: Sampler.make({ groupSize: 2, temperature: 1, maxTokens: 3 }, generatorOf(latencies)),
  verifier: Verifier.make(meanId),
  optimizer: Optimizer.make({ loss: Loss.truncated({ cap: 2 }) }, learnerOf(latencies))
})

/** 20 to 60 ms, by the unit: who is done first is not who began first. */
export const uneven: Latencies = {
  sample: ({ uniforms }) => 20 + 40 * uniforms[0],
  update: 30
}

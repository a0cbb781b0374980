import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as fc from "fast-check"
import { gradients } from "../../src/autodiff/grad.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { inF32 } from "../../src/model/weights.ts"
import type { Weights } from "../../src/model/weights.ts"
import { adamwDefaults } from "../../src/routine/adamw.ts"
import type { MicroBatch } from "../../src/optim/gradientProgram.ts"
import type { Learner } from "../../src/optim/Learner.ts"
import { freshState, makeLearner } from "../../src/optim/Learner.ts"
import { constant } from "../../src/optim/schedule.ts"
import type { OptimizerSettings } from "../../src/optim/settings.ts"
import { adamwRule, muonRule } from "../../src/optim/settings.ts"
import type { Objective } from "../../src/rl/objective.ts"
import { nextToken } from "../../src/rl/objective.ts"
import type { Backend } from "../../src/tensor/Backend.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { makeProgramCache } from "../../src/tensor/ProgramCache.ts"
import { fromHost, Reference, toHost } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, gap, llamaConfigs, randomWeights } from "../model/numbers.ts"

const config: ModelConfig = {
  ...fc.sample(llamaConfigs, { numRuns: 1, seed: 3 })[0],
  layers: 1,
  heads: 2,
  kvHeads: 1,
  hiddenSize: 6,
  headDim: 4,
  tieWordEmbeddings: false
}

const start: Weights = Object.fromEntries(
  Object.entries(randomWeights(config, 5)).map(([name, value]) => {
    const host = toHost(value)
    return [name, HostTensor.f32(host.shape, host.data)]
  })
)

/** Documents to read, each target with the weight 1 / all targets. */
const texts = [
  [1, 5, 2, 7],
  [3, 3, 9, 0],
  [10, 4, 6, 8]
]
const batch = (rows: ReadonlyArray<ReadonlyArray<number>>): MicroBatch => ({
  key: "next token",
  objective: nextToken,
  data: {
    trunk: HostTensor.i32([rows.length, 4], rows.flat()),
    trunkWeights: HostTensor.f32(
      [rows.length, 4],
      rows.flatMap(() => [0, 1 / 9, 1 / 9, 1 / 9])
    )
  }
})
const whole = [batch(texts)]

const adamw: OptimizerSettings = {
  rule: adamwRule({ learningRate: 0.01, weightDecay: 0.1, beta2: 0.95 }),
  schedule: constant(1),
  maxNorm: 1e6
}
const muon: OptimizerSettings = { ...adamw, rule: muonRule({ learningRate: 0.02 }, { learningRate: 0.003 }) }

const learner = (optimizer: OptimizerSettings, weights: Weights = start, state = freshState) =>
  Effect.flatMap(makeProgramCache, (programs) => makeLearner({ config, weights, optimizer, state, programs }))

/** The gradients of a batch, from the objective alone. */
const gradientsOf = (weights: Weights, { objective, data }: MicroBatch) => {
  const widened = (all: Readonly<Record<string, HostTensor>>) =>
    Object.fromEntries(Object.entries(all).map(([name, value]) => [name, fromHost(value)]))
  return compute(
    (inputs: { weights: WeightsOf<Tensor>; data: Readonly<Record<string, Tensor>> }) => {
      const names = Object.keys(inputs.weights)
      const { loss } = objective(config, inputs.weights, inputs.data)
      const all = gradients(loss, Object.values(inputs.weights))
      return { loss, gradients: Object.fromEntries(names.map((name, i) => [name, all[i]])) }
    },
    { weights: widened(weights), data: widened(data) }
  )
}

const largestGap = (a: Weights, b: Weights) =>
  Math.max(...Object.keys(a).map((name) => gap(a[name].data, b[name].data)))

/** Gradients of it are NaN. */
const notFinite: MicroBatch = {
  ...whole[0],
  data: { ...whole[0].data, trunkWeights: HostTensor.f32([3, 4], new Float32Array(12).fill(NaN)) }
}

const onReference = <A, E>(effect: Effect.Effect<A, E, Backend | Scope.Scope>) =>
  effect.pipe(Effect.scoped, Effect.provide(Reference.layer))

describe("the learner", () => {
  it.effect("makes the textbook's AdamW updates of the objective's gradients", () =>
    Effect.gen(function* () {
      const made = yield* learner(adamw)
      const expected = new Map(
        Object.entries(start).map(([name, { data }]) => [name, Array.from(data, (p) => ({ p, m: 0, v: 0 }))])
      )
      for (const step of [1, 2, 3]) {
        const before = yield* made.snapshot
        const { gradients: given } = gradientsOf(inF32(before), whole[0])
        yield* made.update(whole)
        const after = yield* made.snapshot
        for (const [name, elements] of expected) {
          const decay = start[name].shape.length === 2 ? 0.1 : 0 // norms do not decay
          elements.forEach((element, i) => {
            const g = given[name].data[i]
            element.m = 0.9 * element.m + 0.1 * g
            element.v = 0.95 * element.v + 0.05 * g * g
            const m = element.m / (1 - 0.9 ** step)
            const v = element.v / (1 - 0.95 ** step)
            element.p -= 0.01 * (m / (Math.sqrt(v) + adamwDefaults.eps) + decay * element.p)
          })
          expect(
            gap(
              after[name].data,
              elements.map(({ p }) => p)
            ),
            `${name} after ${step}`
          ).toBeLessThan(2e-6)
        }
      }
    }).pipe(onReference)
  )

  it.effect("reports loss, gradient norm and rate, and clips by the global norm", () =>
    Effect.gen(function* () {
      const { loss, gradients: given } = gradientsOf(start, whole[0])
      const squares = Object.values(given).flatMap(({ data }) => Array.from(data, (x) => x * x))
      const norm = Math.sqrt(squares.reduce((sum, x) => sum + x, 0))
      // With beta2 0 and eps large Adam is gradient descent: what is clipped shows.
      const rule = adamwRule({ learningRate: 1e6, beta1: 0, beta2: 0, eps: 1e6 })
      const schedule = constant(1, 4)
      const made = yield* learner({ rule, schedule, maxNorm: norm / 2 })
      const metrics = yield* made.update(whole)
      expect(metrics.loss).toBeCloseTo(loss.data[0], 6)
      expect(metrics.grad_norm).toBeCloseTo(norm, 5)
      expect(metrics.learning_rate).toBe(0.25)
      expect(metrics.skipped).toBe(0)
      const after = yield* made.snapshot
      for (const [name, { data }] of Object.entries(start)) {
        const moved = Array.from(data, (p, i) => p - 0.25 * 0.5 * given[name].data[i])
        expect(gap(after[name].data, moved), name).toBeLessThan(1e-5)
      }
    }).pipe(onReference)
  )

  for (const [rule, settings] of Object.entries({ adamw, muon })) {
    it.effect(`moves alike by one batch and by its micro-batches (${rule})`, () =>
      Effect.gen(function* () {
        const one = yield* learner(settings)
        const cut = yield* learner(settings)
        const byOne = yield* one.update(whole)
        const byCuts = yield* cut.update(texts.map((text) => batch([text])))
        expect(byCuts.loss).toBeCloseTo(byOne.loss, 6)
        expect(byCuts.grad_norm).toBeCloseTo(byOne.grad_norm, 5)
        // A gradient near zero may round to another sign, and Adam's first step has the size of the rate either way.
        const { gradients: given } = gradientsOf(start, whole[0])
        const [a, b] = [yield* one.snapshot, yield* cut.snapshot]
        for (const [name, { data }] of Object.entries(given)) {
          data.forEach((g, i) => {
            if (Math.abs(g) > 1e-5) expect(Math.abs(a[name].data[i] - b[name].data[i]), name).toBeLessThan(1e-5)
          })
        }
      }).pipe(onReference)
    )

    it.effect(`goes on from its weights and its state to the same bits (${rule})`, () =>
      Effect.gen(function* () {
        const first = yield* learner({ ...settings, schedule: constant(1, 5) })
        yield* first.update(whole)
        yield* first.update([batch(texts.slice(1))])
        const weights = inF32(yield* first.snapshot)
        const state = yield* first.state
        const second = yield* learner({ ...settings, schedule: constant(1, 5) }, weights, state)
        const metrics = yield* Effect.forEach([first, second], (made: Learner) => made.update(whole))
        expect(metrics[1]).toEqual(metrics[0])
        expect(yield* second.snapshot).toEqual(yield* first.snapshot)
        expect(yield* second.state).toEqual(yield* first.state)
        expect((yield* first.state).updates).toBe(3)
        // What was taken out has not moved with the learner.
        expect(state.updates).toBe(2)
        expect(largestGap(weights, inF32(yield* first.snapshot))).toBeGreaterThan(0)
      }).pipe(onReference)
    )

    it.effect(`copies while it updates what copies show afterwards (${rule})`, () =>
      Effect.gen(function* () {
        const made = yield* learner(settings)
        const twin = yield* learner(settings)
        let spare: Weights = {}
        for (const batches of [whole, whole, [notFinite]]) {
          const arrived: Array<Weights[string]> = []
          const metrics = yield* twin.update(batches)
          const copied = yield* made.updateAndCopy(batches, {
            spare,
            arrived: (weight) => Effect.sync(() => void arrived.push(weight))
          })
          expect(copied).toEqual({ metrics, weights: yield* twin.snapshot, state: yield* twin.state })
          expect(new Set(arrived)).toEqual(new Set(Object.values(copied.weights)))
          expect(arrived).toHaveLength(Object.keys(start).length)
          // What there was before is overwritten, nothing else is made.
          for (const [name, { data }] of Object.entries(spare)) expect(copied.state.moments[name].data).toBe(data)
          spare = copied.state.moments
        }
      }).pipe(onReference)
    )

    it.effect(`leaves everything as it is where a gradient is not finite, and says so (${rule})`, () =>
      Effect.gen(function* () {
        const made = yield* learner(settings)
        yield* made.update(whole)
        const [weights, state] = [yield* made.snapshot, yield* made.state]
        const metrics = yield* made.update([whole[0], notFinite])
        expect(metrics.skipped).toBe(1)
        expect(metrics.grad_norm).toBeNaN()
        expect(yield* made.snapshot).toEqual(weights)
        expect(yield* made.state).toEqual(state)
        expect((yield* made.update(whole)).skipped).toBe(0)
      }).pipe(onReference)
    )
  }

  it.effect(
    "moves only what is trainable: the rest has no moments, no part in the norm, and stays the same values",
    () =>
      Effect.gen(function* () {
        const trainable = Object.keys(start).filter((name) => /layers\.0\.(mlp|input_layernorm)/.test(name))
        const programs = yield* makeProgramCache
        const of = (names: ReadonlyArray<string>) =>
          makeLearner({ config, weights: start, trainable: names, optimizer: adamw, state: freshState, programs })
        const made = yield* of(trainable)
        const { grad_norm } = yield* made.update(whole)
        const { gradients: given } = gradientsOf(start, whole[0])
        const squares = trainable.flatMap((name) => Array.from(given[name].data, (x) => x * x))
        expect(grad_norm).toBeCloseTo(Math.sqrt(squares.reduce((sum, x) => sum + x, 0)), 5)
        const [after, all] = [yield* made.snapshot, yield* Effect.tap(learner(adamw), (every) => every.update(whole))]
        const moved = yield* all.snapshot
        for (const name of Object.keys(start)) {
          if (trainable.includes(name)) expect(after[name], name).toEqual(moved[name])
          else expect(after[name], name).toBe(start[name])
        }
        const { moments } = yield* made.state
        expect(Object.keys(moments).toSorted()).toEqual(
          trainable.flatMap((name) => [`${name}.m`, `${name}.v`]).toSorted()
        )
      }).pipe(onReference)
  )

  it.effect("adds the sums of micro-batches up, and of the maxima takes the largest", () =>
    Effect.gen(function* () {
      const counting: Objective = (_, weights, { x }) => ({
        loss: weights["model.norm.weight"].sum().mul(0),
        sums: { total: x.sum() },
        maxima: { largest: x.max() }
      })
      const of = (...xs: ReadonlyArray<number>): MicroBatch => ({
        key: "counting",
        objective: counting,
        data: { x: HostTensor.f32([xs.length], xs) }
      })
      const made = yield* learner(adamw)
      const { objective } = yield* made.update([of(1, 2), of(-7, 5), of(-3)])
      expect(objective).toEqual({ total: -2, largest: 5 })
    }).pipe(onReference)
  )
})

import { describe, expect, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { gradients } from "../../src/autodiff/grad.ts"
import { adaptersOf, merged, withLora, withoutLora } from "../../src/model/adapters.ts"
import type { LoraOptions } from "../../src/model/Lora.ts"
import { adapterNames, isAdapter, isTarget, lastNames, loraScale } from "../../src/model/Lora.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import type { StoredModel } from "../../src/model/ModelDirectory.ts"
import { branchLogprobs, trunkLogprobs } from "../../src/model/tokenLogprobs.ts"
import { trainableWeights } from "../../src/model/trainable.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { encode } from "../../src/model/Transformer.ts"
import type { Weights } from "../../src/model/weights.ts"
import { projectionNames } from "../../src/model/parameters.ts"
import { initialWeights, weightShapes } from "../../src/model/weights.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import type { ReferenceValue } from "../../src/tensor/Reference.ts"
import { fromHost, toHost } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, configs, float, gap, int, llamaConfigs, randomWeights } from "./numbers.ts"

/** Adapters for some of the projections of a model. */
const optionsFor = (config: ModelConfig): fc.Arbitrary<LoraOptions> =>
  fc.record({
    rank: fc.integer({ min: 1, max: 3 }),
    alpha: fc.constantFrom(0.5, 3, 16),
    rankStabilized: fc.boolean(),
    targets: fc.subarray([...lastNames(projectionNames(config))], { minLength: 1 })
  })

const modelsAndOptions = configs.chain((config) => optionsFor(config).map((asked) => ({ config, asked })))

const ofModel = (config: ModelConfig, weights: Weights): StoredModel => ({ config, weights, tokenizerFiles: {} })

/** Weights as large as those that training comes to, of adapters too. */
const trained = (config: ModelConfig, seed: number): Weights =>
  Object.fromEntries(
    Object.entries(randomWeights(config, seed)).map(([name, value]) => {
      const { shape, data } = toHost(value)
      return [name, HostTensor.f32(shape, data)]
    })
  )

/** A small model of some family, with adapters that say something. */
const adaptedModels = fc.tuple(modelsAndOptions, fc.nat(99)).map(([{ config, asked }, seed]) => {
  const { config: adapted } = Result.getOrThrow(withLora(ofModel(config, initialWeights(config, 1)), "base", asked))
  return ofModel(adapted, trained(adapted, seed))
})

/** With adapters that add no more than there is: a weight that is 50 times as large would be rounded as much worse. */
const tamed = (weights: Weights): Weights =>
  Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => [
      name,
      HostTensor.f32(
        shape,
        data.map((x) => (isAdapter(name) ? x / 8 : x))
      )
    ])
  )

const texts = { trunk: int([2, 5], [1, 5, 2, 7, 3, 3, 9, 0, 8, 2]), branches: int([2, 1, 3], [4, 1, 6, 10, 2, 5]) }
const inputs = { ...texts, anchors: int([2, 1], [3, 2]) }
type Inputs = { weights: WeightsOf<Tensor>; trunk: Tensor; branches: Tensor; anchors: Tensor }

/** Log-probabilities of a trunk and of branches on it: of everything that a model is asked for. */
const logprobs = (config: ModelConfig, { weights, trunk, branches, anchors }: Inputs) => {
  const hung = { tokens: branches, anchors }
  const encoded = encode(config, weights, trunk, [hung])
  return {
    trunk: trunkLogprobs(config, weights, encoded, trunk),
    branches: branchLogprobs(config, weights, encoded, hung, 1, 1)
  }
}

const widened = (weights: Weights) =>
  Object.fromEntries(Object.entries(weights).map(([name, value]) => [name, fromHost(value)]))

const valuesOf = ({ config, weights }: StoredModel) =>
  compute((given: Inputs) => logprobs(config, given), { weights: widened(weights), ...inputs })

/** Gradients of what is learned from, in every weight. */
const gradientsOf = (config: ModelConfig, weights: WeightsOf<ReferenceValue>) =>
  compute(
    (given: Inputs) => {
      const { trunk, branches } = logprobs(config, given)
      const names = Object.keys(given.weights)
      const loss = trunk.square().sum().add(branches.sum())
      const all = gradients(loss, Object.values(given.weights))
      return Object.fromEntries(names.map((name, i) => [name, all[i]]))
    },
    { weights, ...inputs }
  )

interface Matrix {
  readonly shape: ReadonlyArray<number>
  readonly data: ArrayLike<number>
}

/** a [m,k] times b [k,n] */
const product = (a: Matrix, b: Matrix): Matrix => {
  const [m, k] = a.shape
  const n = b.shape[1]
  const data = Array.from({ length: m * n }, (_, place) => {
    let sum = 0
    for (let i = 0; i < k; i++) sum += a.data[Math.floor(place / n) * k + i] * b.data[i * n + (place % n)]
    return sum
  })
  return { shape: [m, n], data }
}

const transposed = ({ shape: [rows, columns], data }: Matrix): Matrix => ({
  shape: [columns, rows],
  data: Array.from({ length: rows * columns }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)])
})

const largest = (...all: ReadonlyArray<ArrayLike<number>>) =>
  Math.max(1, ...all.flatMap((x) => Array.from(x, Math.abs)))

describe("LoRA", () => {
  it("has as gradient of its adapters the projection of the full gradient: dA = s Bᵀ dW, dB = s dW Aᵀ", () => {
    fc.assert(
      fc.property(adaptedModels, (model) => {
        const { lora } = model.config
        if (lora === undefined) throw new Error("no adapters")
        const { config, weights } = withoutLora(model)
        /** A weight as [out,in], whatever its family keeps; and back. */
        const upright = (x: Matrix) => (config.family === "gpt2" ? transposed(x) : x)
        const s = Math.fround(loraScale(lora)) // as constants are
        const targeted = projectionNames(config).filter((name) => isTarget(lora, name))
        // In float64 throughout: the merged weights are not rounded.
        const wide = Object.entries(weights).map(([name, weight]) => {
          if (!targeted.includes(name)) return [name, fromHost(weight)] as const
          const { a, b } = adapterNames(name)
          const { data } = upright(product(model.weights[b], model.weights[a]))
          return [
            name,
            float(
              weight.shape,
              Array.from(data, (x, i) => weight.data[i] + s * x)
            )
          ] as const
        })
        const own = gradientsOf(model.config, widened(model.weights))
        const full = gradientsOf(config, Object.fromEntries(wide))
        for (const name of targeted) {
          const { a, b } = adapterNames(name)
          const { shape, data } = upright(full[name])
          const dW = { shape, data: Array.from(data, (x) => s * x) }
          const size = largest(own[a].data, own[b].data)
          expect(gap(own[a].data, product(transposed(model.weights[b]), dW).data) / size, a).toBeLessThan(1e-9)
          expect(gap(own[b].data, product(dW, transposed(model.weights[a])).data) / size, b).toBeLessThan(1e-9)
        }
        // What has no adapter has the gradient that it would have without any.
        for (const name of Object.keys(full).filter((weight) => !targeted.includes(weight))) {
          expect(gap(own[name].data, full[name].data) / largest(full[name].data), name).toBeLessThan(1e-9)
        }
      }),
      { numRuns: 15 }
    )
  })

  it("says the same when it is merged, to 1e-5", () => {
    let moved = 0
    fc.assert(
      fc.property(adaptedModels, (drawn) => {
        const model = { ...drawn, weights: tamed(drawn.weights) }
        const [apart, together] = [valuesOf(model), valuesOf(merged(model))]
        expect(gap(apart.trunk.data, together.trunk.data)).toBeLessThan(1e-5)
        expect(gap(apart.branches.data, together.branches.data)).toBeLessThan(1e-5)
        moved = Math.max(moved, gap(apart.trunk.data, valuesOf(withoutLora(model)).trunk.data))
      }),
      { numRuns: 15 }
    )
    // Not of every one: where a token sees only itself, keys do not matter.
    expect(moved).toBeGreaterThan(1e-3)
  })

  it("changes nothing at first, and its weights stand behind those that they adapt", () => {
    fc.assert(
      fc.property(modelsAndOptions, ({ config, asked }) => {
        const base = ofModel(config, trained(config, 4))
        const model = Result.getOrThrow(withLora(base, "base", asked))
        expect(valuesOf(model).trunk.data).toEqual(valuesOf(base).trunk.data)
        expect(withoutLora(model)).toEqual(base)
        expect(merged(model).weights).toEqual(base.weights)
        const names = [...weightShapes(model.config).keys()]
        expect(names.filter((name) => !isAdapter(name))).toEqual([...weightShapes(config).keys()])
        expect(Object.keys(adaptersOf(model.weights)).toSorted()).toEqual(names.filter(isAdapter).toSorted())
        for (const a of names.filter((name) => name.includes("lora_A"))) {
          const { shape, data } = model.weights[a]
          expect(Math.max(...data.map(Math.abs))).toBeLessThanOrEqual(Math.fround(1 / Math.sqrt(shape[1])))
        }
      })
    )
  })

  it("is put on every projection of every layer unless targets are named, and refuses what is none", () => {
    const [config] = fc.sample(llamaConfigs, { numRuns: 1, seed: 5 })
    const base = ofModel(config, initialWeights(config, 1))
    const all = Result.getOrThrow(withLora(base, "base", { rank: 2 }))
    expect(Object.keys(adaptersOf(all.weights))).toHaveLength(2 * 7 * config.layers)
    expect(all.config.lora).toMatchObject({ alpha: 4, targets: expect.arrayContaining(["q_proj", "down_proj"]) })
    const refusal = (asked: LoraOptions, on = base) =>
      Result.match(withLora(on, "base", asked), { onSuccess: () => "", onFailure: ({ message }) => message })
    expect(refusal({ targets: ["lm_head"] })).toBe(
      'base: no projection of this model is called "lm_head"; it has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj'
    )
    expect(refusal({ targets: ["input_layernorm"] })).toContain('called "input_layernorm"')
    expect(refusal({ targets: ["proj"] })).toContain('called "proj"')
    expect(refusal({ targets: [] })).toBe("base: no projection is targeted")
    expect(refusal({ rank: 0 })).toContain("the rank must be a whole number >= 1, not 0")
    expect(refusal({ alpha: -1 })).toContain("alpha must be a positive number")
    expect(refusal({}, all)).toContain("has adapters already")
  })
})

describe("trainable weights", () => {
  const [config] = fc.sample(llamaConfigs, { numRuns: 1, seed: 5 })
  const two = { ...config, layers: 2 }
  const names = [...weightShapes(two).keys()]
  const left = (frozen: ReadonlyArray<string>, of = two) => Result.getOrThrow(trainableWeights(of, frozen))

  it("are all but those that a pattern freezes: a name, its beginning up to a dot, * for anything", () => {
    expect(left([])).toEqual(names)
    expect(left(["model.layers.0"])).toEqual(names.filter((name) => !name.startsWith("model.layers.0.")))
    expect(left(["*.mlp"])).toEqual(names.filter((name) => !name.includes(".mlp.")))
    expect(left(["model.norm.weight", "model.layers.*.self_attn"])).toEqual(
      names.filter((name) => name !== "model.norm.weight" && !name.includes(".self_attn."))
    )
  })

  it("are the adapters alone where there are any", () => {
    const { config: adapted } = Result.getOrThrow(withLora(ofModel(two, initialWeights(two, 1)), "base", { rank: 1 }))
    expect(left([], adapted)).toEqual([...weightShapes(adapted).keys()].filter(isAdapter))
    expect(left(["model.layers.0"], adapted).every((name) => name.startsWith("model.layers.1."))).toBe(true)
  })

  it("are refused where a pattern freezes nothing, or everything is frozen", () => {
    const refusal = (frozen: ReadonlyArray<string>) =>
      Result.match(trainableWeights(two, frozen), { onSuccess: () => "", onFailure: ({ message }) => message })
    expect(refusal(["model.layers.0", "model.layers.2"])).toContain(
      'no weight of this model is called "model.layers.2"'
    )
    expect(refusal(["model.norm.weigh"])).toContain('called "model.norm.weigh"')
    expect(refusal(["*"])).toBe("frozen: nothing is left to train")
  })
})

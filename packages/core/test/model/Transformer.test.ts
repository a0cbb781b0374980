import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { gradients } from "../../src/autodiff/grad.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { branchLogprobs, trunkLogprobs } from "../../src/model/tokenLogprobs.ts"
import type { Stretch } from "../../src/model/segments.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { encode, projection } from "../../src/model/Transformer.ts"
import type { ReferenceValue } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, configs, float, gap, int, randomWeights } from "./numbers.ts"

interface Scene {
  readonly config: ModelConfig
  readonly seed: number
  readonly tail: ReadonlyArray<number>
  readonly temperature: number
  readonly documents: ReadonlyArray<{
    readonly tokens: ReadonlyArray<number>
    readonly branches: ReadonlyArray<{ readonly anchor: number; readonly completion: ReadonlyArray<number> }>
  }>
  /** Tokens of a branch that attention takes at a time */
  readonly stretch: number
  /** Positions of padding in T, B and L. */
  readonly padding: readonly [number, number, number]
}

const token = fc.integer({ min: 0, max: 10 })
const document = fc.array(token, { minLength: 1, maxLength: 6 }).chain((tokens) =>
  fc.record({
    tokens: fc.constant(tokens),
    branches: fc.array(
      fc.record({ anchor: fc.integer({ min: 1, max: tokens.length }), completion: fc.array(token, { maxLength: 3 }) }),
      { maxLength: 3 }
    )
  })
)
const scenes: fc.Arbitrary<Scene> = fc
  .record({
    config: configs,
    seed: fc.nat(1000),
    tail: fc.array(token, { minLength: 1, maxLength: 2 }),
    temperature: fc.constantFrom(0.5, 1, 2), // exact in f32, as constants are
    documents: fc.array(document, { minLength: 1, maxLength: 3 }),
    stretch: fc.integer({ min: 1, max: 6 }),
    padding: fc.tuple(fc.nat(2), fc.nat(1), fc.nat(2))
  })
  .filter(({ documents }) => documents.some(({ branches }) => branches.some(({ completion }) => completion.length > 0)))

/** All documents with all of their branches in one program; garbage where the padding is. */
const packed = ({ tail, documents, padding: [padT, padB, padL] }: Scene) => {
  const D = documents.length
  const T = padT + Math.max(...documents.map(({ tokens }) => tokens.length))
  const B = padB + Math.max(...documents.map(({ branches }) => branches.length))
  const lengths = documents.flatMap(({ branches }) => branches.map(({ completion }) => completion.length))
  const N = padL + Math.max(...lengths)
  const L = tail.length + N
  const trunk = new Int32Array(D * T).fill(7)
  const branches = new Int32Array(D * B * L).fill(3)
  const anchors = new Int32Array(D * B)
  const mask = new Float64Array(D * B * N)
  documents.forEach((document, d) => {
    trunk.set(document.tokens, d * T)
    document.branches.forEach(({ anchor, completion }, b) => {
      branches.set([...tail, ...completion], (d * B + b) * L)
      anchors[d * B + b] = anchor
      mask.fill(1, (d * B + b) * N, (d * B + b) * N + completion.length)
    })
  })
  const row = (d: number, b: number, values: ArrayLike<number>) =>
    Array.from(values).slice((d * B + b) * N, (d * B + b) * N + documents[d].branches[b].completion.length)
  return {
    inputs: { trunk: int([D, T], trunk), branches: int([D, B, L], branches), anchors: int([D, B], anchors) },
    mask: float([D, B, N], mask),
    row
  }
}

type Weights = WeightsOf<Tensor>
const inNames = (weights: Weights, all: ReadonlyArray<Tensor>): Weights =>
  Object.fromEntries(Object.keys(weights).map((name, i) => [name, all[i]]))

const stretches =
  (most: number) =>
  (length: number): ReadonlyArray<Stretch> =>
    Array.from({ length: Math.ceil(length / most) }, (_, i) => ({
      from: i * most,
      to: Math.min(length, (i + 1) * most)
    }))

const together = (scene: Scene, weights: WeightsOf<ReferenceValue>) => {
  const { config, tail, temperature, stretch } = scene
  const { inputs, mask, row } = packed(scene)
  const { logprobs, gradient } = compute(
    (given: { weights: Weights; trunk: Tensor; branches: Tensor; anchors: Tensor; mask: Tensor }) => {
      const hung = { tokens: given.branches, anchors: given.anchors }
      const encoded = encode(config, given.weights, given.trunk, [hung], stretches(stretch))
      const logprobs = branchLogprobs(config, given.weights, encoded, hung, tail.length, temperature)
      const all = gradients(logprobs.mul(given.mask).sum(), Object.values(given.weights))
      return { logprobs, gradient: inNames(given.weights, all) }
    },
    { weights, ...inputs, mask }
  )
  return { logprobs: logprobs.data, gradient, row }
}

/**
 * One rollout as a plain document of its own, read by full logits: log-probabilities of the completion, and the gradient of
 * their sum.
 */
const alone = (
  { config, tail, temperature }: Scene,
  weights: WeightsOf<ReferenceValue>,
  context: ReadonlyArray<number>,
  completion: ReadonlyArray<number>
) => {
  const text = [...context, ...tail, ...completion]
  const { logprobs, gradient } = compute(
    (given: { weights: Weights; tokens: Tensor; targets: Tensor }) => {
      const hidden = encode(config, given.weights, given.tokens, []).trunk.reshape([text.length, config.hiddenSize])
      const logits = hidden.matmul(projection(config, given.weights), { transposeB: true }).div(temperature)
      const from = context.length + tail.length - 1
      const logprobs = logits
        .logSoftmax()
        .sliceAxis(0, from, text.length - 1)
        .pick(given.targets)
      const all = gradients(logprobs.sum(), Object.values(given.weights))
      return { logprobs, gradient: inNames(given.weights, all) }
    },
    { weights, tokens: int([1, text.length], text), targets: int([completion.length], completion) }
  )
  return { logprobs: logprobs.data, gradient }
}

describe("trunk and branches", () => {
  it("are each rollout alone, in log-probabilities and in the gradient of every weight, however a branch is cut into stretches", () => {
    fc.assert(
      fc.property(scenes, (scene) => {
        const weights = randomWeights(scene.config, scene.seed)
        const one = together(scene, weights)
        const sums = new Map(Object.entries(weights).map(([name, { data }]) => [name, new Float64Array(data.length)]))
        scene.documents.forEach(({ tokens, branches }, d) =>
          branches.forEach(({ anchor, completion }, b) => {
            if (completion.length === 0) return
            const single = alone(scene, weights, tokens.slice(0, anchor), completion)
            expect(gap(one.row(d, b, one.logprobs), single.logprobs)).toBeLessThan(1e-9)
            for (const [name, sum] of sums) sum.forEach((_, i) => (sum[i] += single.gradient[name].data[i]))
          })
        )
        for (const [name, sum] of sums) {
          const scale = Math.max(1, ...sum.map(Math.abs))
          expect(gap(one.gradient[name].data, sum) / scale, name).toBeLessThan(1e-9)
        }
      }),
      { numRuns: 120 }
    )
  })

  it("leave the reading of the trunk as it is without branches, whatever the padding", () => {
    fc.assert(
      fc.property(scenes, (scene) => {
        const weights = randomWeights(scene.config, scene.seed)
        const { inputs } = packed(scene)
        const T = inputs.trunk.shape[1]
        if (T === 1) return
        const { config } = scene
        const withBranches = compute(
          (given: { weights: Weights; trunk: Tensor; branches: Tensor; anchors: Tensor }) => {
            const hung = { tokens: given.branches, anchors: given.anchors }
            return trunkLogprobs(config, given.weights, encode(config, given.weights, given.trunk, [hung]), given.trunk)
          },
          { weights, ...inputs }
        )
        scene.documents.forEach(({ tokens }, d) => {
          if (tokens.length === 1) return
          const plain = compute(
            (given: { weights: Weights; trunk: Tensor }) =>
              trunkLogprobs(config, given.weights, encode(config, given.weights, given.trunk, []), given.trunk),
            { weights, trunk: int([1, tokens.length], tokens) }
          )
          const own = withBranches.data.slice(d * (T - 1), d * (T - 1) + tokens.length - 1)
          expect(gap(own, plain.data)).toBeLessThan(1e-9)
        })
      }),
      { numRuns: 40 }
    )
  })

  it("of a branch that is moved to another anchor read something else", () => {
    const config = fc.sample(configs, { numRuns: 1, seed: 1 })[0]
    const weights = randomWeights(config, 1)
    const at = (anchor: number) => {
      const documents = [{ tokens: [1, 2, 3, 4, 5], branches: [{ anchor, completion: [6, 7] }] }]
      const scene = { config, seed: 1, tail: [8], temperature: 1, documents, stretch: 2, padding: [0, 0, 0] } as const
      return together(scene, weights).logprobs
    }
    expect(gap(at(3), at(4))).toBeGreaterThan(1e-3)
  })
})

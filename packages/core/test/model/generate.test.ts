import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { GenerateSettings, Sampling } from "../../src/model/generate.ts"
import { begin, proceed } from "../../src/model/generate.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { score } from "../../src/model/score.ts"
import { branchLogprobs } from "../../src/model/tokenLogprobs.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { encode, projection } from "../../src/model/Transformer.ts"
import type { ReferenceValue } from "../../src/tensor/Reference.ts"
import { concat, iota } from "../../src/tensor/operations.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, configs, float, gap, int, randomWeights } from "./numbers.ts"

type Weights = WeightsOf<Tensor>

interface Scene {
  readonly config: ModelConfig
  readonly seed: number
  readonly tail: ReadonlyArray<number>
  readonly groupSize: number
  readonly maxTokens: number
  /** Tokens of the first segment; the rest are sampled in a second one. */
  readonly cut: number
  readonly documents: ReadonlyArray<ReadonlyArray<number>>
  /** [D][K] */
  readonly anchors: ReadonlyArray<ReadonlyArray<number>>
  /** [D][K][G][N] */
  readonly uniforms: ReadonlyArray<ReadonlyArray<ReadonlyArray<ReadonlyArray<number>>>>
}

const token = fc.integer({ min: 0, max: 10 })
const several = <A>(of: fc.Arbitrary<A>, length: number) => fc.array(of, { minLength: length, maxLength: length })

/** Draws as samplers make them: multiples of 2^-24 below 1, the ends included. */
const draw = fc.oneof(
  { weight: 20, arbitrary: fc.nat(2 ** 24 - 1).map((n) => n * 2 ** -24) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1 - 2 ** -24) }
)

const scenes: fc.Arbitrary<Scene> = fc
  .record({
    config: configs,
    seed: fc.nat(1000),
    tail: fc.array(token, { minLength: 1, maxLength: 2 }),
    groupSize: fc.integer({ min: 1, max: 2 }),
    maxTokens: fc.integer({ min: 1, max: 5 }),
    positions: fc.integer({ min: 1, max: 2 }),
    length: fc.integer({ min: 1, max: 5 }),
    count: fc.integer({ min: 1, max: 2 })
  })
  .chain(({ count, length, positions, ...rest }) =>
    fc.record({
      ...mapValues(rest, fc.constant),
      cut: fc.integer({ min: 1, max: rest.maxTokens }),
      documents: several(several(token, length), count),
      anchors: several(several(fc.integer({ min: 1, max: length }), positions), count),
      uniforms: several(several(several(several(draw, rest.maxTokens), rest.groupSize), positions), count)
    })
  )

function mapValues<T extends object>(record: T, f: <A>(a: A) => fc.Arbitrary<A>) {
  // Object.entries forgets which key has which type.
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)])) as {
    [K in keyof T]: fc.Arbitrary<T[K]>
  }
}

/** Completions in the order document, anchor, member, cut behind the first stop token. */
const run = (scene: Scene, sampling: Sampling, stop: ReadonlyArray<number> = []) => {
  const { config, documents, anchors, uniforms, tail, groupSize, maxTokens, cut } = scene
  const settings: GenerateSettings = { groupSize, sampling, stop }
  const draws = uniforms.flat(2)
  const rows = draws.length
  const branches = rows / documents.length
  const { tokens, logprobs } = compute(
    (inputs: { weights: Weights; trunk: Tensor; anchors: Tensor; tail: Tensor; uniforms: Tensor }) => {
      const first = begin(config, settings, { ...inputs, uniforms: inputs.uniforms.sliceAxis(0, 0, cut) })
      const [tokens, logprobs] = [[first.tokens], [first.logprobs]]
      if (cut < maxTokens) {
        const token = first.tokens.sliceAxis(0, cut - 1, cut).reshape([rows])
        const second = proceed(config, settings, {
          ...first,
          weights: inputs.weights,
          kept: iota([documents.length, branches], 1),
          anchors: inputs.anchors
            .expandDims(2)
            .broadcastTo([documents.length, anchors[0].length, groupSize])
            .reshape([documents.length, branches]),
          token,
          done: token.less(0),
          uniforms: inputs.uniforms.sliceAxis(0, cut, maxTokens)
        })
        tokens.push(second.tokens)
        logprobs.push(second.logprobs)
      }
      return { tokens: concat(tokens, 0), logprobs: concat(logprobs, 0) }
    },
    {
      weights: randomWeights(config, scene.seed),
      trunk: int([documents.length, documents[0].length], documents.flat()),
      anchors: int([documents.length, anchors[0].length], anchors.flat()),
      tail: int([tail.length], tail),
      uniforms: float(
        [maxTokens, rows],
        Array.from({ length: maxTokens * rows }, (_, i) => draws[i % rows][Math.floor(i / rows)])
      )
    }
  )
  return draws.map((_, row) => {
    const column = (data: ArrayLike<number>) => Array.from({ length: maxTokens }, (_, i) => data[i * rows + row])
    const written = column(tokens.data)
    const end = written.findIndex((id) => stop.includes(id))
    const length = end < 0 ? maxTokens : end + 1
    return { tokens: written.slice(0, length), logprobs: column(logprobs.data).slice(0, length) }
  })
}

/** Every rollout with the text it goes on from and its draws. */
const rollouts = ({ documents, anchors, uniforms, tail }: Scene) =>
  documents.flatMap((tokens, d) =>
    anchors[d].flatMap((anchor, k) =>
      uniforms[d][k].map((draws) => ({ d, k, anchor, draws, prompt: [...tokens.slice(0, anchor), ...tail] }))
    )
  )

/** Logits of the next token, from a plain reading of the whole text. */
const nextLogits = (config: ModelConfig, weights: WeightsOf<ReferenceValue>, text: ReadonlyArray<number>) => {
  const logits = compute(
    ({ weights, tokens }: { weights: Weights; tokens: Tensor }) => {
      const hidden = encode(config, weights, tokens, []).trunk.sliceAxis(1, text.length - 1, text.length)
      return hidden.reshape([1, config.hiddenSize]).matmul(projection(config, weights), { transposeB: true })
    },
    { weights, tokens: int([1, text.length], text) }
  )
  return Array.from(logits.data)
}

const probabilities = (logits: ReadonlyArray<number>, temperature: number) => {
  const largest = Math.max(...logits)
  const powers = logits.map((logit) => Math.exp((logit - largest) / temperature))
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map((power) => power / total)
}

const temperatures = fc.constantFrom(0.5, 1, 2) // exact in f32, as constants are
const at = (temperature: number): Sampling => ({ _tag: "temperature", temperature })

describe("generate", () => {
  it("greedy takes the argmax that `score` gives of the text so far, step by step", () => {
    fc.assert(
      fc.property(scenes, (scene) => {
        const weights = randomWeights(scene.config, scene.seed)
        const written = run(scene, { _tag: "greedy" })
        rollouts(scene).forEach(({ prompt }, i) => {
          let text = prompt
          for (const [n, id] of written[i].tokens.entries()) {
            const read = compute(
              ({ weights, tokens }: { weights: Weights; tokens: Tensor }) => {
                const { argmax, top } = score(scene.config, weights, tokens)
                return { argmax, top }
              },
              { weights, tokens: int([1, text.length], text) }
            )
            expect(id).toBe(read.argmax.data[text.length - 1])
            const best = read.top.data[(text.length - 1) * scene.config.vocabSize]
            expect(Math.abs(written[i].logprobs[n] - best)).toBeLessThan(1e-9)
            text = [...text, id]
          }
        })
      }),
      { numRuns: 30 }
    )
  })

  it("draws the token at which the cumulative probability passes the uniform, and gives its log-probability", () => {
    fc.assert(
      fc.property(scenes, temperatures, (scene, temperature) => {
        const weights = randomWeights(scene.config, scene.seed)
        const written = run(scene, at(temperature))
        rollouts(scene).forEach(({ prompt, draws }, i) => {
          let text = prompt
          for (const [n, id] of written[i].tokens.entries()) {
            const p = probabilities(nextLogits(scene.config, weights, text), temperature)
            const before = p.slice(0, id).reduce((sum, x) => sum + x, 0)
            // Where the draw hits a boundary to the last bits either side is right.
            expect(draws[n]).toBeGreaterThan(before - 1e-12)
            expect(draws[n]).toBeLessThan(before + p[id] + 1e-12)
            expect(Math.abs(written[i].logprobs[n] - Math.log(p[id]))).toBeLessThan(1e-9)
            text = [...text, id]
          }
        })
      }),
      { numRuns: 40 }
    )
  })

  it("gives the log-probabilities that training computes for the same tokens at that temperature", () => {
    fc.assert(
      fc.property(scenes, temperatures, (scene, temperature) => {
        const { config, documents, anchors, tail, groupSize, maxTokens } = scene
        const written = run(scene, at(temperature))
        const B = anchors[0].length * groupSize
        const shape = [documents.length, B, tail.length + maxTokens]
        const trained = compute(
          (inputs: { weights: Weights; trunk: Tensor; branches: Tensor; anchors: Tensor }) => {
            const hung = { tokens: inputs.branches, anchors: inputs.anchors }
            const encoded = encode(config, inputs.weights, inputs.trunk, [hung])
            return branchLogprobs(config, inputs.weights, encoded, hung, tail.length, temperature)
          },
          {
            weights: randomWeights(config, scene.seed),
            trunk: int([documents.length, documents[0].length], documents.flat()),
            branches: int(
              shape,
              written.flatMap(({ tokens }) => [...tail, ...tokens])
            ),
            anchors: int(
              [documents.length, B],
              rollouts(scene).map(({ anchor }) => anchor)
            )
          }
        )
        const sampled = written.flatMap(({ logprobs }) => logprobs)
        expect(gap(trained.data, sampled)).toBeLessThan(1e-9)
      }),
      { numRuns: 60 }
    )
  })

  it("ends a completion with its first stop token and changes nothing before it, although the loop ends early", () => {
    fc.assert(
      fc.property(scenes, fc.uniqueArray(token, { minLength: 1, maxLength: 6 }), (scene, stop) => {
        const free = run(scene, at(1))
        const stopped = run(scene, at(1), stop)
        stopped.forEach(({ tokens, logprobs }, i) => {
          const end = free[i].tokens.findIndex((id) => stop.includes(id))
          const length = end < 0 ? scene.maxTokens : end + 1
          expect(tokens).toEqual(free[i].tokens.slice(0, length))
          expect(logprobs).toEqual(free[i].logprobs.slice(0, length))
        })
      }),
      { numRuns: 60 }
    )
  })

  it("completes a rollout alone as in the company of others", () => {
    fc.assert(
      fc.property(scenes, fc.uniqueArray(token, { maxLength: 3 }), (scene, stop) => {
        const all = run(scene, at(1), stop)
        rollouts(scene).forEach(({ d, k, anchor, draws }, i) => {
          const tokens = scene.documents[d].slice(0, anchor)
          const own = { ...scene, groupSize: 1, documents: [tokens], anchors: [[anchor]], uniforms: [[[draws]]] }
          const [single] = run(own, at(1), stop)
          expect(single.tokens, `document ${d}, position ${k}`).toEqual(all[i].tokens)
          expect(gap(single.logprobs, all[i].logprobs)).toBeLessThan(1e-12)
        })
      }),
      { numRuns: 40 }
    )
  })

  it("near temperature zero draws the greedy token whatever the uniform, and never one of probability 0", () => {
    fc.assert(
      fc.property(scenes, fc.constantFrom(0, 0.5, 1 - 2 ** -24), (scene, draw) => {
        const uniforms = scene.uniforms.map((ofDocument) =>
          ofDocument.map((ofAnchor) => ofAnchor.map((draws) => draws.map(() => draw)))
        )
        const cold = run({ ...scene, uniforms }, at(2 ** -24))
        const greedy = run(scene, { _tag: "greedy" })
        expect(cold.map(({ tokens }) => tokens)).toEqual(greedy.map(({ tokens }) => tokens))
        for (const logprob of cold.flatMap(({ logprobs }) => logprobs)) expect(logprob).toBeGreaterThan(-1)
      }),
      { numRuns: 40 }
    )
  })

  it("gives a branch without a context (anchor 0) a completion from the tail alone", () => {
    const config = fc.sample(configs, { numRuns: 1, seed: 2 })[0]
    const rest = { config, seed: 1, tail: [4], groupSize: 1, maxTokens: 3, cut: 2, uniforms: [[[[0.1, 0.5, 0.9]]]] }
    const one = run({ ...rest, documents: [[1, 2, 3]], anchors: [[0]] }, at(1))
    const other = run({ ...rest, documents: [[5, 6, 7]], anchors: [[0]] }, at(1))
    expect(one).toEqual(other)
  })
})

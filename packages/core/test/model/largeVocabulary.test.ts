import { Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { gradients } from "../../src/autodiff/grad.ts"
import { begin } from "../../src/model/generate.ts"
import { inBlocks } from "../../src/model/inBlocks.ts"
import { llamaFeatures, makeModelConfig } from "../../src/model/ModelConfig.ts"
import { score } from "../../src/model/score.ts"
import { branchLogprobs } from "../../src/model/tokenLogprobs.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { encode } from "../../src/model/Transformer.ts"
import { weightTypes } from "../../src/model/weights.ts"
import { Graph } from "../../src/tensor/Graph.ts"
import type { Shape } from "../../src/tensor/HostTensor.ts"
import { sizeOf } from "../../src/tensor/HostTensor.ts"
import { liveness } from "../../src/tensor/liveness.ts"
import { expand } from "../../src/tensor/simplify.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, float, int } from "./numbers.ts"

/** Qwen2.5's vocabulary on a model that is next to nothing beside it. */
const config = Result.getOrThrow(
  makeModelConfig({
    ...llamaFeatures,
    vocabSize: 151_936,
    hiddenSize: 4,
    intermediateSize: 4,
    layers: 1,
    heads: 1,
    kvHeads: 1,
    headDim: 4,
    tieWordEmbeddings: true,
    maxPositions: 32_768,
    bos: { _tag: "none" },
    eos: { _tag: "none" }
  })
)
const weights = weightTypes(config)
const i32 = (...shape: Shape) => ({ dtype: "i32", shape }) as const
const f32 = (...shape: Shape) => ({ dtype: "f32", shape }) as const

/** Elements of the largest value that the program makes, in its loops too, as a backend without composites runs it. */
const largest = (graph: Graph): number =>
  Math.max(
    ...graph.nodes.map((node) =>
      Math.max(...node.types.map(({ shape }) => sizeOf(shape)), node.op === "loop" ? largest(node.params.body) : 0)
    )
  )
const MiB = 2 ** 20

describe("with a vocabulary of 152 thousand tokens", () => {
  it("scoring 8 documents of 1024 tokens makes 64 MiB of logits at a time, not 5 GB", () => {
    const { graph } = Graph.trace(
      (given: { weights: WeightsOf<Tensor>; tokens: Tensor }) => score(config, given.weights, given.tokens),
      { weights, tokens: i32(8, 1024) }
    )
    const expanded = expand(graph, new Set())
    expect(largest(expanded)).toBeLessThanOrEqual(2 ** 24)
    expect(liveness(expanded).peak).toBeLessThan(500 * MiB)
  })

  it("a step of generation of 512 rollouts makes 64 MiB of logits at a time", () => {
    const settings = { groupSize: 8, sampling: { _tag: "temperature", temperature: 0.8 }, stop: [1] } as const
    const { graph } = Graph.trace(
      (given: { weights: WeightsOf<Tensor>; trunk: Tensor; anchors: Tensor; tail: Tensor; uniforms: Tensor }) =>
        begin(config, settings, given),
      { weights, trunk: i32(8, 64), anchors: i32(8, 8), tail: i32(2), uniforms: f32(16, 512) }
    )
    const expanded = expand(graph, new Set())
    expect(largest(expanded)).toBeLessThanOrEqual(2 ** 24)
    expect(liveness(expanded).peak).toBeLessThan(500 * MiB)
  })

  it.each([
    [16, "keeps at most 512 MiB of them for the gradient"],
    [64, "makes them again for the gradient"]
  ])("training on %i rollouts of 32 tokens makes a few MiB of logits at a time and %s", (rollouts) => {
    const { graph } = Graph.trace(
      (given: { weights: WeightsOf<Tensor>; trunk: Tensor; branches: Tensor; anchors: Tensor }) => {
        const hung = { tokens: given.branches, anchors: given.anchors }
        const encoded = encode(config, given.weights, given.trunk, [hung])
        const logprobs = branchLogprobs(config, given.weights, encoded, hung, 1, 1)
        return gradients(logprobs.sum(), Object.values(given.weights))
      },
      { weights, trunk: i32(1, 64), branches: i32(1, rollouts, 33), anchors: i32(1, rollouts) }
    )
    const expanded = expand(graph, new Set())
    expect(largest(expanded)).toBeLessThanOrEqual(2 ** 20)
    expect(liveness(expanded).peak).toBeLessThan((rollouts === 16 ? 512 + 64 : 64) * MiB)
  })
})

describe("rows in blocks", () => {
  it("give what they give all at once, whatever the size of a block", () => {
    const scenes = fc.record({ n: fc.integer({ min: 1, max: 9 }), most: fc.integer({ min: 1, max: 10 }) })
    fc.assert(
      fc.property(scenes, fc.array(fc.nat(50), { minLength: 18, maxLength: 18 }), ({ n, most }, values) => {
        const of = (size: number) =>
          compute(
            ({ x, y, add }: { x: Tensor; y: Tensor; add: Tensor }) =>
              inBlocks({ x, y }, { add }, size, ({ x, y }, { add }) => ({
                sum: x.sum(1).add(add),
                both: x.add(y.cast("f32").expandDims(1)),
                odd: y.less(5)
              })),
            { x: float([n, 2], values.slice(0, 2 * n)), y: int([n], values.slice(0, n)), add: float([], [7]) }
          )
        expect(of(most)).toEqual(of(n))
      })
    )
  })
})

import { Result } from "effect"
import * as fc from "fast-check"
import { llamaFeatures, makeModelConfig } from "../../src/model/ModelConfig.ts"
import type { ModelConfig } from "../../src/model/ModelConfig.ts"
import { parametersOf } from "../../src/model/parameters.ts"
import type { Rope } from "../../src/model/Rope.ts"
import { normals } from "../../src/random/draw.ts"
import { record } from "../../src/tensor/Graph.ts"
import type { Shape } from "../../src/tensor/HostTensor.ts"
import { sizeOf } from "../../src/tensor/HostTensor.ts"
import type { ReferenceValue } from "../../src/tensor/Reference.ts"
import { evaluate } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import type { MapTree, Tree } from "../../src/tensor/Tree.ts"
import { flatten, restore } from "../../src/tensor/Tree.ts"

/** Small models of the Llama family as it began: no biases, all that went before in sight. Vocabulary of 11. */
export const llamaConfigs: fc.Arbitrary<ModelConfig> = fc
  .record({
    heads: fc.constantFrom([1, 1], [2, 1], [2, 2], [4, 2]),
    headDim: fc.constantFrom(2, 4, 6),
    perHead: fc.constantFrom(2, 3),
    intermediateSize: fc.constantFrom(5, 8),
    layers: fc.integer({ min: 1, max: 2 }),
    tieWordEmbeddings: fc.boolean(),
    rope: fc.constantFrom<Rope>(
      { _tag: "default", theta: 100 },
      { _tag: "linear", theta: 100, factor: 2 },
      { _tag: "llama3", theta: 100, factor: 4, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 16 },
      {
        _tag: "yarn",
        theta: 100,
        factor: 4,
        attentionFactor: 1.125,
        betaFast: 4,
        betaSlow: 1,
        originalMaxPositions: 16,
        truncate: true
      }
    )
  })
  .map(({ heads: [heads, kvHeads], perHead, rope, ...rest }) => ({
    ...llamaFeatures,
    vocabSize: 11,
    hiddenSize: heads * perHead,
    heads,
    kvHeads,
    positions: { _tag: "rotary", rope },
    maxPositions: 64,
    bos: { _tag: "none" },
    eos: { _tag: "none" },
    ...rest
  }))

const biases = (...parts: ReadonlyArray<"qkv" | "output" | "mlp">): ModelConfig["bias"] => ({
  qkv: parts.includes("qkv"),
  output: parts.includes("output"),
  mlp: parts.includes("mlp")
})

/** What sets a model apart from `llamaConfigs`, family by family. */
const features: fc.Arbitrary<(llama: ModelConfig) => ModelConfig> = fc.oneof(
  fc
    .constantFrom<ModelConfig["bias"]>(biases(), biases("qkv", "output"), biases("mlp"), biases("qkv", "output", "mlp"))
    .map((bias) => (llama: ModelConfig): ModelConfig => ({ ...llama, bias })),
  fc.integer({ min: 1, max: 6 }).map((size) => (llama: ModelConfig): ModelConfig => ({
    ...llama,
    family: "mistral",
    window: { _tag: "sliding", size, layers: Array.from({ length: llama.layers }, (_, layer) => layer) }
  })),
  fc
    .record({ size: fc.integer({ min: 1, max: 6 }), from: fc.integer({ min: 0, max: 1 }) })
    .map(({ size, from }) => (llama: ModelConfig): ModelConfig => ({
      ...llama,
      family: "qwen2",
      bias: biases("qkv"),
      window: llama.layers === from ? { _tag: "everything" } : { _tag: "sliding", size, layers: [from] }
    })),
  fc
    .record({ size: fc.integer({ min: 1, max: 6 }), biased: fc.boolean(), more: fc.integer({ min: 0, max: 3 }) })
    .map(({ size, biased, more }) => (llama: ModelConfig): ModelConfig => ({
      ...llama,
      family: "qwen3",
      hiddenSize: llama.hiddenSize + more,
      qkNorm: true,
      bias: biased ? biases("qkv", "output") : biases(),
      window: { _tag: "sliding", size, layers: [0] }
    })),
  fc.constantFrom("exact" as const, "tanh" as const).map((by) => (llama: ModelConfig): ModelConfig => ({
    ...llama,
    family: "gpt2",
    hiddenSize: llama.heads * llama.headDim,
    kvHeads: llama.heads,
    norm: { _tag: "layer", eps: 1e-5 },
    positions: { _tag: "learned" },
    mlp: { _tag: "gelu", by },
    bias: biases("qkv", "output", "mlp"),
    maxPositions: 14
  }))
)

/** Small models of every family, with every feature that it has. */
export const configs: fc.Arbitrary<ModelConfig> = fc
  .tuple(llamaConfigs, features)
  .map(([llama, become]) => Result.getOrThrow(makeModelConfig(become(llama))))

/** Weights large enough that every part of the model matters: normal(0, 0.6), norms around 1. */
export const randomWeights = (config: ModelConfig, seed: number): Readonly<Record<string, ReferenceValue>> =>
  Object.fromEntries(
    Array.from(parametersOf(config), ({ name, shape, role }) => {
      const drawn = normals(seed, ["test weights", name], sizeOf(shape))
      return [
        name,
        float(
          shape,
          Float64Array.from(drawn, (x) => 0.6 * x + (role === "norm" ? 1 : 0))
        )
      ]
    })
  )

export const float = (shape: Shape, data: ArrayLike<number>): ReferenceValue => ({
  dtype: "f32",
  shape,
  data: Float64Array.from(data)
})

export const int = (shape: Shape, data: ArrayLike<number>): ReferenceValue => ({
  dtype: "i32",
  shape,
  data: Int32Array.from(data)
})

/** Runs `f` in float64: values where its tensors stand. */
export const compute = <I, O>(
  f: (inputs: I) => O,
  inputs: MapTree<I, Tensor, ReferenceValue>
): MapTree<O, Tensor, ReferenceValue> => {
  // I and O are trees of tensors; interfaces do not match Tree's index signature, so it is said here.
  const values = inputs as Tree<ReferenceValue>
  const leaves = flatten(values)
  const types = leaves.map(({ dtype, shape }) => ({ dtype, shape }))
  const traced = record(f as never, restore(values, types))
  return restore(traced.outputs, evaluate(traced.graph, leaves)) as never
}

/** The largest difference of two arrays of equal length. */
export const gap = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  if (a.length !== b.length) throw new RangeError(`${a.length} values against ${b.length}`)
  return Math.max(
    0,
    ...Array.from(a, (x, i) => (Number.isFinite(x) && Number.isFinite(b[i]) ? Math.abs(x - b[i]) : NaN))
  )
}

import * as fc from "fast-check"
import type { ModelConfig, Rope } from "../../src/model/ModelConfig.ts"
import { weightShapes } from "../../src/model/weights.ts"
import { normals } from "../../src/random/draw.ts"
import { record } from "../../src/tensor/Graph.ts"
import type { Shape } from "../../src/tensor/HostTensor.ts"
import { sizeOf } from "../../src/tensor/HostTensor.ts"
import type { ReferenceValue } from "../../src/tensor/Reference.ts"
import { evaluate } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import type { MapTree, Tree } from "../../src/tensor/Tree.ts"
import { flatten, restore } from "../../src/tensor/Tree.ts"

/** Small models of every kind that the family has. Vocabulary of 11. */
export const configs: fc.Arbitrary<ModelConfig> = fc
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
      { _tag: "llama3", theta: 100, factor: 4, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 16 }
    )
  })
  .map(({ heads: [heads, kvHeads], perHead, ...rest }) => ({
    architecture: "llama",
    vocabSize: 11,
    hiddenSize: heads * perHead,
    heads,
    kvHeads,
    rmsNormEps: 1e-5,
    maxPositions: 64,
    bos: { _tag: "none" },
    eos: { _tag: "none" },
    ...rest
  }))

/** Weights large enough that every part of the model matters: normal(0, 0.6), norms around 1. */
export const randomWeights = (config: ModelConfig, seed: number): Readonly<Record<string, ReferenceValue>> =>
  Object.fromEntries(
    [...weightShapes(config)].map(([name, shape]) => {
      const drawn = normals(seed, ["test weights", name], sizeOf(shape))
      return [
        name,
        float(
          shape,
          Float64Array.from(drawn, (x) => 0.6 * x + (shape.length === 1 ? 1 : 0))
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

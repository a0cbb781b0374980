import { expect, layer } from "@effect/vitest"
import { compile, constant, draw, encode, HostTensor, initialWeights, llamaFeatures } from "@foretoken/core"
import type { ModelConfig, Shape, Tensor, TensorType, Value, WeightsOf } from "@foretoken/core"
import { forAll } from "@foretoken/core/testing"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect } from "effect"
import * as fc from "fast-check"
import { begin } from "../../core/src/model/generate.ts"

const random = (shape: Shape, name: string): HostTensor =>
  HostTensor.f32(
    shape,
    draw
      .uniforms(
        0,
        [name],
        shape.reduce((a, b) => a * b, 1)
      )
      .map((x) => x - 0.5)
  )

const evaluate = <I extends ReadonlyArray<HostTensor>>(
  inputs: I,
  f: (xs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>
) =>
  Effect.gen(function* () {
    const types = inputs.map(({ dtype, shape }) => ({ dtype, shape }))
    const { run } = yield* compile("test", f, types, "host")
    return (yield* run(inputs)).map(bitsOf)
  })

const bitsOf = (value: Value): ReadonlyArray<number> => ("_tag" in value ? [] : [...value.data])

const i32 = (shape: Shape): TensorType => ({ dtype: "i32", shape })

const differing = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): number =>
  one.filter((x, i) => x !== other[i]).length + Math.abs(one.length - other.length)

/** Whose heads are narrow and whose vocabulary and layers are not: products go through several blocks of onnxruntime. */
const config: ModelConfig = {
  ...llamaFeatures,
  vocabSize: 300,
  hiddenSize: 160,
  intermediateSize: 300,
  layers: 3,
  heads: 4,
  kvHeads: 4,
  headDim: 40,
  tieWordEmbeddings: true,
  maxPositions: 128,
  bos: { _tag: "none" },
  eos: { _tag: "none" }
}

layer(Onnx.layer({ device: "cpu", threads: 2 }))("sampler and learner on onnxruntime's cpu", (it) => {
  it.effect("multiply a row to the same bits whatever rows stand beside it, or none", () =>
    forAll(
      fc.record({
        batch: fc.constantFrom([], [3]),
        rows: fc.integer({ min: 1, max: 40 }),
        // More than 128 terms are added up in blocks, which depend on the columns that a thread has where these are few.
        size: fc.oneof(
          fc.tuple(fc.integer({ min: 1, max: 128 }), fc.integer({ min: 1, max: 80 })),
          fc.tuple(fc.integer({ min: 129, max: 300 }), fc.integer({ min: 256, max: 300 }))
        ),
        transposeB: fc.boolean()
      }),
      ({ batch, rows, size: [terms, columns], transposeB }) =>
        Effect.gen(function* () {
          const all = 40
          const a = random([...batch, all, terms], "a")
          const b = random([...batch, ...(transposeB ? [columns, terms] : [terms, columns])], "b")
          const axis = batch.length
          const product = (a: Tensor, b: Tensor) => a.matmul(b, { transposeB })
          const [some, few] = yield* evaluate([a, b], ([a, b]) => [
            product(a, b).sliceAxis(axis, 0, rows),
            product(a.sliceAxis(axis, 0, rows), b)
          ])
          expect(differing(few, some)).toBe(0)
        }),
      { numRuns: 40 }
    )
  )

  it.effect("come to the same bits for a token that is decoded and the same token in training", () =>
    Effect.gen(function* () {
      const [documents, length, positions, groupSize, steps] = [2, 24, 2, 2, 12]
      const rows = documents * positions * groupSize
      const weights = initialWeights(config, 3)
      const types = Object.fromEntries(
        Object.entries(weights).map(([name, { dtype, shape }]) => [name, { dtype, shape }])
      )
      const ids = draw.uniforms(1, ["trunk"], documents * length).map((x) => Math.floor(x * config.vocabSize))
      const trunk = HostTensor.i32([documents, length], ids)
      const anchors = [12, 24, 9, 20]
      const sampled = yield* compile(
        "sample",
        ({ weights, trunk }: { readonly weights: WeightsOf<Tensor>; readonly trunk: Tensor }) => {
          const { tokens, branchCache } = begin(
            config,
            { groupSize, sampling: { _tag: "temperature", temperature: 1 }, stop: [] },
            {
              weights,
              trunk,
              anchors: constant(HostTensor.i32([documents, positions], anchors)),
              tail: constant(HostTensor.i32([1], [7])),
              uniforms: constant(HostTensor.f32([steps, rows], draw.uniforms(2, ["draws"], steps * rows)))
            }
          )
          return { tokens, keys: branchCache.map(({ k }) => k), values: branchCache.map(({ v }) => v) }
        },
        { weights: types, trunk: i32([documents, length]) },
        "host"
      )
      const { tokens, keys, values } = yield* sampled.run({ weights, trunk })
      // [N, rows], and the tail before them, as [D, B, 1 + N]; nothing is learned from where the last one leads.
      const drawn = bitsOf(tokens)
      const branches = Array.from({ length: rows }, (_, row) => [
        7,
        ...Array.from({ length: steps - 1 }, (_, step) => drawn[step * rows + row])
      ])
      const learned = yield* compile(
        "learn",
        ({
          weights,
          trunk,
          branches
        }: { readonly weights: WeightsOf<Tensor> } & Record<"trunk" | "branches", Tensor>) => {
          const own = anchors.flatMap((anchor) => Array.from({ length: groupSize }, () => anchor))
          const at = constant(HostTensor.i32([documents, rows / documents], own))
          const { branchCache } = encode(config, weights, trunk, [{ tokens: branches, anchors: at }])
          return { keys: branchCache.map(({ k }) => k), values: branchCache.map(({ v }) => v) }
        },
        {
          weights: types,
          trunk: i32([documents, length]),
          branches: i32([documents, rows / documents, steps])
        },
        "host"
      )
      const read = yield* learned.run({
        weights,
        trunk,
        branches: HostTensor.i32([documents, rows / documents, steps], branches.flat())
      })
      for (const layer of keys.keys()) {
        expect(differing(bitsOf(keys[layer]), bitsOf(read.keys[layer]))).toBe(0)
        expect(differing(bitsOf(values[layer]), bitsOf(read.values[layer]))).toBe(0)
      }
    })
  )
})

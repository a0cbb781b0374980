import { expect, layer } from "@effect/vitest"
import { Onnx } from "@foretoken/backend-onnx"
import type { ModelConfig, Shape, Tensor, TensorType, Value, WeightsOf } from "@foretoken/core"
import { compile, constant, draw, encode, HostTensor, initialWeights, llamaFeatures } from "@foretoken/core"
import { Effect } from "effect"
import { gradients } from "../../core/src/autodiff/grad.ts"
import { begin } from "../../core/src/model/generate.ts"
import { branchLogprobs } from "../../core/src/model/tokenLogprobs.ts"

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
const [documents, length, positions, groupSize, steps, tail] = [2, 24, 2, 2, 12, 7]
const rows = documents * positions * groupSize
const anchors = [12, 24, 9, 20]
const weights = initialWeights(config, 3)
const types = Object.fromEntries(Object.entries(weights).map(([name, { dtype, shape }]) => [name, { dtype, shape }]))
const i32 = (shape: Shape): TensorType => ({ dtype: "i32", shape })
const trunk = HostTensor.i32(
  [documents, length],
  draw.uniforms(1, ["trunk"], documents * length).map((x) => Math.floor(x * config.vocabSize))
)

/** Tokens [N,rows] as they are drawn, and the keys and values that each of them but the last leaves behind. */
const sampling = ({ weights, trunk }: { readonly weights: WeightsOf<Tensor>; readonly trunk: Tensor }) =>
  begin(
    config,
    { groupSize, sampling: { _tag: "temperature", temperature: 1 }, stop: [] },
    {
      weights,
      trunk,
      anchors: constant(HostTensor.i32([documents, positions], anchors)),
      tail: constant(HostTensor.i32([1], [tail])),
      uniforms: constant(HostTensor.f32([steps, rows], draw.uniforms(2, ["draws"], steps * rows)))
    }
  )

type Learned = { readonly weights: WeightsOf<Tensor> } & Readonly<Record<"trunk" | "branches", Tensor>>

/** What a pass of training makes of the same tokens on its way to the gradients. */
const learning = ({ weights, trunk, branches }: Learned) => {
  const own = anchors.flatMap((anchor) => Array.from({ length: groupSize }, () => anchor))
  const hung = { tokens: branches, anchors: constant(HostTensor.i32([documents, rows / documents], own)) }
  const encoded = encode(config, weights, trunk, [hung])
  const loss = branchLogprobs(config, weights, encoded, hung, 1, 1).sum()
  return { branchCache: encoded.branchCache, gradients: gradients(loss, Object.values(weights), "all") }
}

const bits = (value: Value): ReadonlyArray<number> => ("_tag" in value ? [] : [...value.data])

const differing = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): number =>
  one.filter((x, i) => x !== other[i]).length + Math.abs(one.length - other.length)

/** Numbers that differ between what the sampler and what the learner left behind, of all of them. */
const compare = Effect.gen(function* () {
  const sampler = yield* compile("sample", sampling, { weights: types, trunk: i32(trunk.shape) }, "host")
  const sampled = yield* sampler.run({ weights, trunk })
  // [N,rows] behind the tail as [D,B,N]: the last token leaves nothing behind.
  const drawn = bits(sampled.tokens)
  const branches = HostTensor.i32(
    [documents, rows / documents, steps],
    Array.from({ length: rows }, (_, row) => [
      tail,
      ...Array.from({ length: steps - 1 }, (_, step) => drawn[step * rows + row])
    ]).flat()
  )
  const inputs = { weights: types, trunk: i32(trunk.shape), branches: i32(branches.shape) }
  const learner = yield* compile("learn", learning, inputs, "host")
  const learned = yield* learner.run({ weights, trunk, branches })
  const all = sampled.branchCache.flatMap(({ k, v }, layer) => [
    [bits(k), bits(learned.branchCache[layer].k)] as const,
    [bits(v), bits(learned.branchCache[layer].v)] as const
  ])
  const size = all.reduce((sum, [one]) => sum + one.length, 0)
  return { size, differing: all.reduce((sum, [one, other]) => sum + differing(one, other), 0) }
})

const size = 2 * config.layers * rows * steps * config.kvHeads * config.headDim

layer(Onnx.layer({ device: "cpu", threads: 2 }))("a token that is decoded on onnxruntime's cpu", (it) => {
  it.effect("leaves the very keys and values that it has in training", () =>
    Effect.map(compare, (found) => expect(found).toEqual({ size, differing: 0 }))
  )
})

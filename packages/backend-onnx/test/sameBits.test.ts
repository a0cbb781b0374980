import { expect, layer } from "@effect/vitest"
import { Onnx } from "@foretoken/backend-onnx"
import type { ModelConfig, Shape, Tensor, TensorType, Value, WeightsOf } from "@foretoken/core"
import {
  compile,
  concat,
  constant,
  draw,
  encode,
  HostTensor,
  initialWeights,
  iota,
  llamaFeatures
} from "@foretoken/core"
import { Effect } from "effect"
import { gradients } from "../../core/src/autodiff/grad.ts"
import { begin, proceed } from "../../core/src/model/generate.ts"
import type { Segment } from "../../core/src/model/generate.ts"
import { asDecoded, segmentLengths } from "../../core/src/model/segments.ts"
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
const [documents, length, positions, groupSize, steps] = [2, 24, 2, 2, 40]
const branchCount = positions * groupSize
const rows = documents * branchCount
const anchors = [12, 24, 9, 20]
const ofBranches = anchors.flatMap((anchor) => Array.from({ length: groupSize }, () => anchor))
const weights = initialWeights(config, 3)
const types = Object.fromEntries(Object.entries(weights).map(([name, { dtype, shape }]) => [name, { dtype, shape }]))
const i32 = (shape: Shape): TensorType => ({ dtype: "i32", shape })
const ids = (shape: Shape, name: string): HostTensor => {
  const size = shape.reduce((a, b) => a * b, 1)
  const drawn = draw.uniforms(1, [name], size).map((x) => Math.floor(x * config.vocabSize))
  return HostTensor.i32(shape, drawn)
}
const trunk = ids([documents, length], "trunk")

interface Sampled {
  readonly weights: WeightsOf<Tensor>
  readonly trunk: Tensor
  readonly tail: Tensor
}

/** Tokens [N,rows] in segments as the sampler draws them, and the keys and values that each of them but the last leaves behind. */
const sampling = ({ weights, trunk, tail }: Sampled) => {
  const settings = { groupSize, sampling: { _tag: "temperature", temperature: 1 }, stop: [] } as const
  const draws = constant(HostTensor.f32([steps, rows], draw.uniforms(2, ["draws"], steps * rows)))
  const [first, ...others] = segmentLengths(steps)
  const given = constant(HostTensor.i32([documents, positions], anchors))
  const begun = begin(config, settings, {
    weights,
    trunk,
    anchors: given,
    tail,
    uniforms: draws.sliceAxis(0, 0, first)
  })
  let segment: Segment = begun
  let at = first
  const tokens = [begun.tokens]
  for (const length of others) {
    segment = proceed(config, settings, {
      weights,
      trunkCache: begun.trunkCache,
      branchCache: segment.branchCache,
      anchors: constant(HostTensor.i32([documents, branchCount], ofBranches)),
      kept: iota([documents, branchCount], 1),
      token: segment.tokens.sliceAxis(0, segment.tokens.shape[0] - 1, segment.tokens.shape[0]).reshape([rows]),
      done: constant(HostTensor.fill("bool", [rows], 0)),
      uniforms: draws.sliceAxis(0, at, at + length)
    })
    tokens.push(segment.tokens)
    at += length
  }
  return { tokens: concat(tokens, 0), branchCache: segment.branchCache }
}

type Learned = { readonly weights: WeightsOf<Tensor> } & Readonly<Record<"trunk" | "branches", Tensor>>

/** What a pass of training makes of the same tokens on its way to the gradients. */
const learning =
  (given: number) =>
  ({ weights, trunk, branches }: Learned) => {
    const hung = { tokens: branches, anchors: constant(HostTensor.i32([documents, branchCount], ofBranches)) }
    const encoded = encode(config, weights, trunk, [hung], (length) => asDecoded(given, length))
    const loss = branchLogprobs(config, weights, encoded, hung, given, 1).sum()
    return { branchCache: encoded.branchCache, gradients: gradients(loss, Object.values(weights), "all") }
  }

const bits = (value: Value): ReadonlyArray<number> => ("_tag" in value ? [] : [...value.data])

/** Numbers that differ between what the sampler and what the learner left behind a tail of `given` tokens, of all of them. */
const compare = Effect.fnUntraced(function* (given: number) {
  const tail = ids([given], "tail")
  const asked = { weights: types, trunk: i32(trunk.shape), tail: i32(tail.shape) }
  const sampler = yield* compile("sample", sampling, asked, "host")
  const sampled = yield* sampler.run({ weights, trunk, tail })
  // [N,rows] behind the tail as [D,B,S+N-1]: the last token leaves nothing behind.
  const drawn = bits(sampled.tokens)
  const tokens = Array.from({ length: rows }, (_, row) => [
    ...tail.data,
    ...Array.from({ length: steps - 1 }, (_, step) => drawn[step * rows + row])
  ])
  const branches = HostTensor.i32([documents, branchCount, given + steps - 1], tokens.flat())
  const inputs = { weights: types, trunk: i32(trunk.shape), branches: i32(branches.shape) }
  const learner = yield* compile("learn", learning(given), inputs, "host")
  const learned = yield* learner.run({ weights, trunk, branches })
  const all = sampled.branchCache.flatMap(({ k, v }, layer) => [
    [bits(k), bits(learned.branchCache[layer].k)] as const,
    [bits(v), bits(learned.branchCache[layer].v)] as const
  ])
  expect(all.every(([one, other]) => one.length === other.length && one.length > 0)).toBe(true)
  return all.reduce((sum, [one, other]) => sum + one.filter((x, i) => x !== other[i]).length, 0)
})

layer(Onnx.layer({ device: "cpu", threads: 2 }))("a token that is decoded on onnxruntime's cpu", (it) => {
  it.effect("leaves the very keys and values that it has in training, in every segment", () =>
    Effect.map(compare(1), (differing) => expect(differing).toBe(0))
  )

  it.effect("does so behind a tail that is longer than a segment", () =>
    Effect.map(compare(20), (differing) => expect(differing).toBe(0))
  )
})

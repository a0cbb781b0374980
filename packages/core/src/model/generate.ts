import { HostTensor } from "../tensor/HostTensor.ts"
import { loop } from "../tensor/loop.ts"
import { attention, concat, constant, iota } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { inBlocks, rowsAtATime } from "./inBlocks.ts"
import { inverseCdf } from "./inverseCdf.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { reachOf } from "./ModelConfig.ts"
import { turnAt } from "./rotation.ts"
import { fewKeys } from "./segments.ts"
import type { LayerCache, WeightsOf } from "./Transformer.ts"
import { embed, encode, layers, mapCache, projection } from "./Transformer.ts"
import { visibleTrunk } from "./visibility.ts"

/** How tokens are chosen. Greedy takes the most probable one; its log-probabilities are those at temperature 1. */
export type Sampling = { readonly _tag: "greedy" } | { readonly _tag: "temperature"; readonly temperature: number }

export interface GenerateSettings {
  /** G: rollouts of each anchor */
  readonly groupSize: number
  readonly sampling: Sampling
  /** A completion ends with the first of these. */
  readonly stop: ReadonlyArray<number>
}

/**
 * Tokens are sampled a segment at a time. Within one, a loop decodes all branches side by side and grows the keys of that
 * segment only; those of earlier segments stand still beside them. Between segments branches that have finished are dropped.
 */
export interface Segment {
  /** i32 [N,D·B], rollouts in the order document, branch. Past a stop token they mean nothing. */
  readonly tokens: Tensor
  /** f32 [N,D·B]: of each token under the distribution it was drawn from */
  readonly logprobs: Tensor
  /** What the next segment goes on from: per layer [D,Hk,B,C,dh], keys of all tokens but the last, the tail's included. */
  readonly branchCache: ReadonlyArray<LayerCache>
}

export interface FirstSegment extends Segment {
  /** per layer [D,Hk,T,dh] */
  readonly trunkCache: ReadonlyArray<LayerCache>
}

export interface BeginInputs {
  readonly weights: WeightsOf<Tensor>
  /** i32 [D,T] */
  readonly trunk: Tensor
  /** i32 [D,K] */
  readonly anchors: Tensor
  /** i32 [S], S >= 1: what every branch begins with, given rather than sampled */
  readonly tail: Tensor
  /** f32 [N,D·K·G] in [0,1): the draw for each token */
  readonly uniforms: Tensor
}

/**
 * The first N tokens of K anchors x G rollouts a document: the trunk and one tail per anchor are encoded once. Branches
 * stand in the order anchor, member of the group.
 */
export const begin = (config: ModelConfig, settings: GenerateSettings, inputs: BeginInputs): FirstSegment => {
  const { weights, trunk, anchors, tail, uniforms } = inputs
  const { groupSize } = settings
  const [documents] = trunk.shape
  const [, positions] = anchors.shape
  const given = tail.shape[0]
  const [steps, rows] = uniforms.shape

  const tails = tail.reshape([1, 1, given]).broadcastTo([documents, positions, given])
  const encoded = encode(config, weights, trunk, [{ tokens: tails, anchors }])
  const last = encoded.branches[0].sliceAxis(2, given - 1, given)
  const hidden = repeat(last, 1, groupSize).reshape([rows, config.hiddenSize])
  const first = draw(config, settings, weights, hidden, uniforms.sliceAxis(0, 0, 1).reshape([rows]))
  const decoded = decodeAll(config, settings, {
    weights,
    trunkCache: encoded.trunkCache,
    branchCache: encoded.branchCache.map((cache) => mapCache(cache, (x) => repeat(x, 2, groupSize))),
    anchors: repeat(anchors, 1, groupSize),
    token: first.token,
    done: isOneOf(first.token, settings.stop),
    uniforms: uniforms.sliceAxis(0, 1, steps)
  })
  return {
    tokens: concat([first.token.expandDims(0), decoded.tokens], 0),
    logprobs: concat([first.logprob.expandDims(0), decoded.logprobs], 0),
    trunkCache: encoded.trunkCache,
    branchCache: decoded.branchCache
  }
}

export interface ProceedInputs extends DecodeInputs {
  /** i32 [D,B]: branches of the segment before that go on, by their place in it; some more than once where B is padded */
  readonly kept: Tensor
}

/** The next N tokens of the branches that are kept. */
export const proceed = (config: ModelConfig, settings: GenerateSettings, inputs: ProceedInputs): Segment => {
  const { branchCache, kept, anchors } = inputs
  const all = branchCache[0].k.shape[2] === anchors.shape[1]
  const going = all ? branchCache : branchCache.map((cache) => mapCache(cache, (x) => takeBranches(x, kept)))
  return decodeAll(config, settings, { ...inputs, branchCache: going })
}

interface DecodeInputs {
  readonly weights: WeightsOf<Tensor>
  readonly trunkCache: ReadonlyArray<LayerCache>
  readonly branchCache: ReadonlyArray<LayerCache>
  /** i32 [D,B] */
  readonly anchors: Tensor
  /** i32 [D·B]: the last token of each branch */
  readonly token: Tensor
  /** bool [D·B]: branches that nobody waits for */
  readonly done: Tensor
  /** f32 [N,D·B] */
  readonly uniforms: Tensor
}

/** One token after the other on every branch, until all are done or the draws [N,D·B] are used up. */
const decodeAll = (config: ModelConfig, settings: GenerateSettings, inputs: DecodeInputs): Segment => {
  const { weights, trunkCache, branchCache, anchors, token, done, uniforms } = inputs
  const [steps, rows] = uniforms.shape
  if (steps === 0) {
    return {
      tokens: constant(HostTensor.i32([0, rows], [])),
      logprobs: constant(HostTensor.f32([0, rows], [])),
      branchCache
    }
  }
  const before = branchCache[0].k.shape[3]
  const apart = before > fewKeys
  const start = {
    carried: {
      tokens: constant(HostTensor.i32([], [0])).broadcastTo([steps, rows]),
      logprobs: constant(HostTensor.f32([], [0])).broadcastTo([steps, rows]),
      token,
      done,
      caches: branchCache.map((cache) =>
        mapCache(cache, (x) => (apart ? x.sliceAxis(3, 0, 0) : x).pad([0, 0, 0, 0, 0], [0, 0, 0, steps, 0]))
      )
    },
    fixed: {
      weights,
      trunkCache,
      earlier: apart ? branchCache : [],
      places: anchors.add(before),
      seenTrunk: visibleTrunk(anchors, trunkCache[0].k.shape[2]),
      uniforms
    },
    maxSteps: steps
  }
  const end = loop(start, (step, carried, fixed) => {
    const decoded = decode(config, { ...fixed, caches: carried.caches, token: carried.token, step })
    const drawn = draw(config, settings, fixed.weights, decoded.hidden, fixed.uniforms.gather(step))
    const done = carried.done.or(isOneOf(drawn.token, settings.stop))
    return {
      continues: done.not().cast("i32").sum().greater(0),
      carried: {
        tokens: carried.tokens.updateAt(0, drawn.token.expandDims(0), step),
        logprobs: carried.logprobs.updateAt(0, drawn.logprob.expandDims(0), step),
        token: drawn.token,
        done,
        caches: decoded.caches
      }
    }
  })
  const grown = end.caches.map(({ k, v }, layer) => ({
    k: concat([branchCache[layer].k, k], 3),
    v: concat([branchCache[layer].v, v], 3)
  }))
  return { tokens: end.tokens, logprobs: end.logprobs, branchCache: apart ? grown : end.caches }
}

interface StepInputs {
  readonly weights: WeightsOf<Tensor>
  readonly trunkCache: ReadonlyArray<LayerCache>
  /** Keys that do not grow, if they stand apart: per layer [D,Hk,B,C,dh] */
  readonly earlier: ReadonlyArray<LayerCache>
  /** Keys that grow: per layer [D,Hk,B,M,dh], the last N of them places for this segment, zeros from `step` on */
  readonly caches: ReadonlyArray<LayerCache>
  /** i32 [D,B]: positions of the first token of this segment */
  readonly places: Tensor
  /** bool [D,1,B,1,T] */
  readonly seenTrunk: Tensor
  /** i32 [D·B]: the token that each branch goes on with */
  readonly token: Tensor
  /** f32 [N,D·B] */
  readonly uniforms: Tensor
  /** i32 []: its place in the segment */
  readonly step: Tensor
}

/** One token further on every branch: hidden states [D·B,d] and the caches with that token's keys in place. */
const decode = (config: ModelConfig, inputs: StepInputs) => {
  const { weights, trunkCache, earlier, caches, places, seenTrunk, token, uniforms, step } = inputs
  const { heads, kvHeads, headDim } = config
  const [documents, branches] = places.shape
  const steps = uniforms.shape[0]
  const capacity = caches[0].k.shape[3]
  const before = earlier[0]?.k.shape[3] ?? 0
  const longest = trunkCache[0].k.shape[2] + before + capacity
  const positions = places.add(step).reshape([-1])
  const index = step.add(capacity - steps)
  const everything = {
    trunk: seenTrunk,
    earlier: constant(HostTensor.fill("bool", [1, 1, 1, 1, 1], 1)),
    own: iota([1, 1, 1, 1, capacity], 4).greater(index).not()
  }
  /** Keys of the last tokens alone: of each set those that stand near enough to this token's place in it. */
  const within = (reach: number): typeof everything => {
    const near = (keys: number, place: Tensor) => iota([1, 1, 1, 1, keys], 4).greater(place.sub(reach))
    const inTrunk = places.add(step).reshape([documents, 1, branches, 1, 1])
    return {
      trunk: everything.trunk.and(near(seenTrunk.shape[4], inTrunk)),
      earlier: near(before, step.add(before)),
      own: everything.own.and(near(capacity, index))
    }
  }
  const near = config.window._tag === "sliding" ? within(config.window.size) : everything
  const turn = turnAt(config, longest, positions)
  const grown: Array<LayerCache> = []

  const hidden = layers(config, weights, embed(config, weights, token, positions), turn, (layer, q, k, v) => {
    const seen = reachOf(config, layer) === Infinity ? everything : near
    // Query heads that share keys stand as so many queries of one head.
    const fold = (x: Tensor, perHead: number) =>
      x.reshape([documents, branches, kvHeads, perHead, headDim]).transpose([0, 2, 1, 3, 4])
    const own = {
      k: caches[layer].k.updateAt(3, fold(k, 1), index),
      v: caches[layer].v.updateAt(3, fold(v, 1), index)
    }
    grown[layer] = own
    const sets = [
      { ...trunkCache[layer], mask: seen.trunk },
      ...earlier.slice(layer, layer + 1).map((keys) => ({ ...keys, mask: seen.earlier })),
      { ...own, mask: seen.own }
    ]
    const mixed = attention(fold(q, heads / kvHeads), sets, 1 / Math.sqrt(headDim))
    return mixed.transpose([0, 2, 1, 3, 4]).reshape([documents * branches, heads * headDim])
  })
  return { hidden, caches: grown }
}

/**
 * One token per row of hidden states [n,d]: by inverse CDF from the uniforms [n], or the most probable. i32 [n], and f32 [n]
 * of each the log-probability.
 */
const draw = (
  config: ModelConfig,
  { sampling }: GenerateSettings,
  weights: WeightsOf<Tensor>,
  hidden: Tensor,
  uniforms: Tensor
) => {
  const rows = { hidden, uniforms }
  const fixed = { vocabulary: projection(config, weights) }
  return inBlocks(rows, fixed, rowsAtATime(config.vocabSize), ({ hidden, uniforms }, { vocabulary }) => {
    const logits = hidden.matmul(vocabulary, { transposeB: true })
    if (sampling._tag === "greedy") {
      const token = logits.argmax()
      return { token, logprob: logits.logSoftmax().pick(token) }
    }
    const scaled = sampling.temperature === 1 ? logits : logits.div(sampling.temperature)
    const probabilities = scaled.softmax()
    const { index, total } = inverseCdf(probabilities, uniforms)
    // A softmax adds a whole vocabulary up in one go and may be off by 1e-5; the sum of sums says by how much.
    return { token: index, logprob: probabilities.pick(index).div(total).log() }
  })
}

const isOneOf = (token: Tensor, ids: ReadonlyArray<number>): Tensor =>
  ids.map((id) => token.equal(id)).reduce((a, b) => a.or(b), token.less(0))

/** [.., n, ..] -> [.., n·times, ..], each element `times` times in a row. */
const repeat = (x: Tensor, axis: number, times: number): Tensor => {
  const { shape } = x
  const wide = [...shape.slice(0, axis + 1), times, ...shape.slice(axis + 1)]
  return x
    .expandDims(axis + 1)
    .broadcastTo(wide)
    .reshape(shape.with(axis, shape[axis] * times))
}

/** Branches `kept` [D,B] of x [D,H,·,C,dh] */
const takeBranches = (x: Tensor, kept: Tensor): Tensor => {
  const [documents, heads, before, ...rest] = x.shape
  const shape = [documents, heads, kept.shape[1]]
  const own = iota(shape, 0).mul(heads).add(iota(shape, 1)).mul(before)
  const flat = x.reshape([documents * heads * before, ...rest])
  return flat.gather(own.add(kept.expandDims(1)))
}

import { HostTensor } from "../tensor/HostTensor.ts"
import { loop } from "../tensor/loop.ts"
import { attention, constant, iota } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { inverseCdf } from "./inverseCdf.ts"
import type { ModelConfig } from "./ModelConfig.ts"
import { rotation } from "./rotation.ts"
import type { LayerCache, WeightsOf } from "./Transformer.ts"
import { embed, encode, layers, projection, rowsAgain, visibleTrunk } from "./Transformer.ts"

/** How tokens are chosen. Greedy takes the most probable one; its log-probabilities are those at temperature 1. */
export type Sampling = { readonly _tag: "greedy" } | { readonly _tag: "temperature"; readonly temperature: number }

export interface GenerateSettings {
  /** G: rollouts of each anchor */
  readonly groupSize: number
  /** N: tokens of the longest completion */
  readonly maxTokens: number
  readonly sampling: Sampling
  /** A completion ends with the first of these. */
  readonly stop: ReadonlyArray<number>
}

export interface GenerateInputs {
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

/** Rollouts in the order document, anchor, member of the group. Past a stop token the values mean nothing. */
export interface Generated {
  /** i32 [N,D·K·G] */
  readonly tokens: Tensor
  /** f32 [N,D·K·G]: of each token under the distribution it was drawn from */
  readonly logprobs: Tensor
}

/**
 * Completions of K anchors x G rollouts a document, in one run: the trunk and one tail per anchor are encoded once, then
 * a loop decodes all branches side by side, each with a cache as long as its own tokens.
 */
export const generate = (config: ModelConfig, settings: GenerateSettings, inputs: GenerateInputs): Generated => {
  const { weights, trunk, anchors, tail, uniforms } = inputs
  const { groupSize, maxTokens } = settings
  const [documents] = trunk.shape
  const [, positions] = anchors.shape
  const branches = positions * groupSize
  const given = tail.shape[0]
  const rows = documents * branches

  const tails = tail.reshape([1, 1, given]).broadcastTo([documents, positions, given])
  const encoded = encode(config, weights, trunk, [{ tokens: tails, anchors }])
  const perRollout = (x: Tensor, axis: number) => repeat(x, axis, groupSize)
  const caches = encoded.branchCache.map((cache) =>
    mapCache(cache, (x) => perRollout(x, 2).pad([0, 0, 0, 0, 0], [0, 0, 0, maxTokens, 0]))
  )
  const last = perRollout(encoded.branches[0].sliceAxis(2, given - 1, given), 1).reshape([rows, config.hiddenSize])
  const first = draw(config, settings, weights, last, uniforms.sliceAxis(0, 0, 1).reshape([rows]))

  const start = {
    carried: {
      tokens: beginning(HostTensor.fill("i32", [maxTokens, rows], 0), first.token),
      logprobs: beginning(HostTensor.fill("f32", [maxTokens, rows], 0), first.logprob),
      token: first.token,
      done: isOneOf(first.token, settings.stop),
      caches
    },
    fixed: { weights, trunkCache: encoded.trunkCache, anchors: perRollout(anchors, 1), uniforms },
    maxSteps: maxTokens - 1
  }
  const end = loop(start, (step, carried, fixed) => {
    const next = step.add(1)
    const decoded = decode(config, { ...fixed, caches: carried.caches, token: carried.token, index: step.add(given) })
    const drawn = draw(config, settings, fixed.weights, decoded.hidden, fixed.uniforms.gather(next))
    const done = carried.done.or(isOneOf(drawn.token, settings.stop))
    return {
      continues: done.not().cast("i32").sum().greater(0),
      carried: {
        tokens: carried.tokens.updateAt(0, drawn.token.expandDims(0), next),
        logprobs: carried.logprobs.updateAt(0, drawn.logprob.expandDims(0), next),
        token: drawn.token,
        done,
        caches: decoded.caches
      }
    }
  })
  return { tokens: end.tokens, logprobs: end.logprobs }
}

interface DecodeInputs {
  readonly weights: WeightsOf<Tensor>
  /** per layer [D,Hk,T,dh] */
  readonly trunkCache: ReadonlyArray<LayerCache>
  /** per layer [D,Hk,B,C,dh] */
  readonly caches: ReadonlyArray<LayerCache>
  /** i32 [D,B] */
  readonly anchors: Tensor
  /** i32 [D·B]: the token that each branch goes on with */
  readonly token: Tensor
  /** i32 []: its place in the branch */
  readonly index: Tensor
}

/** One token further on every branch: hidden states [D·B,d] and the caches with that token's keys in place. */
const decode = (config: ModelConfig, { weights, trunkCache, caches, anchors, token, index }: DecodeInputs) => {
  const [documents, branches] = anchors.shape
  const capacity = caches[0].k.shape[3]
  const length = trunkCache[0].k.shape[2]
  const at = rotation(config, length + capacity).at(anchors.add(index).reshape([-1]))
  const visible = iota([1, 1, 1, 1, capacity], 4).greater(index).not()
  const trunkVisible = visibleTrunk(anchors, length)
  const grown: Array<LayerCache> = []

  const hidden = layers(config, weights, embed(weights, token), at, (layer, q, k, v) => {
    const fold = (x: Tensor, heads: number) =>
      x.reshape([documents, branches, heads, 1, config.headDim]).transpose([0, 2, 1, 3, 4])
    const own = {
      k: caches[layer].k.updateAt(3, fold(k, config.kvHeads), index),
      v: caches[layer].v.updateAt(3, fold(v, config.kvHeads), index)
    }
    grown[layer] = own
    const trunk = { ...trunkCache[layer], mask: trunkVisible }
    const scale = 1 / Math.sqrt(config.headDim)
    return rowsAgain(attention(fold(q, config.heads), { ...own, mask: visible }, [trunk], scale))
  })
  return { hidden, caches: grown }
}

interface Drawn {
  /** i32 [n] */
  readonly token: Tensor
  /** f32 [n] */
  readonly logprob: Tensor
}

/** One token per row of hidden states [n,d]: by inverse CDF from the uniforms [n], or the most probable. */
const draw = (
  config: ModelConfig,
  { sampling }: GenerateSettings,
  weights: WeightsOf<Tensor>,
  hidden: Tensor,
  uniforms: Tensor
): Drawn => {
  const logits = hidden.matmul(projection(config, weights), { transposeB: true })
  if (sampling._tag === "greedy") {
    const token = logits.argmax()
    return { token, logprob: logits.logSoftmax().pick(token) }
  }
  const scaled = sampling.temperature === 1 ? logits : logits.div(sampling.temperature)
  const probabilities = scaled.softmax()
  const token = inverseCdf(probabilities, uniforms)
  return { token, logprob: probabilities.pick(token).log() }
}

/** A record of all steps with the first one written. */
const beginning = (empty: HostTensor, first: Tensor): Tensor =>
  constant(empty).updateAt(0, first.expandDims(0), constant(HostTensor.i32([], [0])))

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

const mapCache = ({ k, v }: LayerCache, f: (x: Tensor) => Tensor): LayerCache => ({ k: f(k), v: f(v) })

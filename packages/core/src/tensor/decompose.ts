import { HostTensor } from "./HostTensor.ts"
import type { Keys } from "./operations.ts"
import { concat, constant } from "./operations.ts"
import type { Composite, PrimitiveParams } from "./Primitive.ts"
import type { Tensor } from "./Tensor.ts"

type Decompose<C extends Composite> = (params: PrimitiveParams[C], inputs: ReadonlyArray<Tensor>) => Tensor

/**
 * Stands for minus infinity in masked scores: beside any score of a model its exponential is 0 in f32, no NaN comes of it,
 * and what is rounded off it stays small.
 */
const MASKED = -1e6

/** log(sum(exp(x))) along the last axis, kept; the maximum is taken out first, so nothing overflows. */
const logSumExp = (x: Tensor): Tensor => {
  const top = x.max(-1, true).stopGradient()
  return x.sub(top).exp().sum(-1, true).log().add(top)
}

/** Rows of the vocabulary a chunk at a time: the chunk and the id of its first row. */
export const vocabularyChunks = (vocabulary: Tensor, chunk: number): ReadonlyArray<{ rows: Tensor; first: number }> => {
  const size = vocabulary.shape[0]
  return Array.from({ length: Math.ceil(size / chunk) }, (_, i) => ({
    rows: vocabulary.sliceAxis(0, i * chunk, Math.min(size, (i + 1) * chunk)),
    first: i * chunk
  }))
}

/**
 * Of the logits [n,c] of a chunk the largest, the softmax within the chunk, and Σ exp(logits - top): the largest of a
 * softmax is 1 over that sum, so one kernel gives both.
 */
export const chunkSum = (logits: Tensor) => {
  const top = logits.max(-1, true)
  const softmax = logits.softmax()
  return { top, softmax, sum: softmax.max(-1, true).reciprocal() }
}

/**
 * The parts of each chunk, put side by side along an axis and taken apart again. Nodes run when a result needs them, and a
 * sum over chunks needs one part of all of them first: so all of a chunk is made, and its logits go, before the next one's are.
 */
export const chunkByChunk = (
  chunks: ReadonlyArray<ReadonlyArray<Tensor>>,
  axis: 0 | 1
): ReadonlyArray<ReadonlyArray<Tensor>> =>
  chunks.length === 1
    ? chunks
    : chunks.map((parts) => {
        const all = concat(parts, axis)
        let end = 0
        return parts.map(({ shape }) => all.sliceAxis(axis, end, (end += shape[axis])))
      })

/** [n]: of the logits of a chunk those at `ids`, 0 where an id lies outside of it */
const chosen = (logits: Tensor, ids: Tensor, first: number): Tensor => {
  const size = logits.shape[1]
  const place = ids.sub(first)
  const within = place.maximum(0).minimum(size - 1)
  return place.equal(within).select(logits.pick(within), 0)
}

/** (a, b) -> (-b, a) of the two halves of the last axis */
const rotateHalf = (x: Tensor): Tensor => {
  const width = x.shape[x.rank - 1]
  return concat([x.sliceAxis(-1, width / 2, width).neg(), x.sliceAxis(-1, 0, width / 2)], -1)
}

/** The sets of keys of an attention, behind its queries. */
export const keySets = ([, ...rest]: ReadonlyArray<Tensor>): ReadonlyArray<Keys> =>
  Array.from({ length: rest.length / 3 }, (_, i) => ({ k: rest[3 * i], v: rest[3 * i + 1], mask: rest[3 * i + 2] }))

/** Keys that all branches of a document share: [D,Hk,C,dh] */
export const ofTrunk = ({ rank }: Tensor): boolean => rank === 4

/** Key heads repeated until there is one per query head: [D,Hk,...] -> [D,H,...] */
const repeatHeads = (x: Tensor, heads: number): Tensor => {
  const [documents, keyHeads, ...rest] = x.shape
  if (keyHeads === heads) return x
  const each = heads / keyHeads
  return x
    .expandDims(2)
    .broadcastTo([documents, keyHeads, each, ...rest])
    .reshape([documents, heads, ...rest])
}

/**
 * Queries [D,H,B,L,n] as rows of one large matrix per key head [D,Hk,(H/Hk)·B·L,n]: the heads that share keys and the
 * branches that share the trunk become rows of one product.
 */
export const mergeQueries = (q: Tensor, keyHeads: number): Tensor => q.reshape([q.shape[0], keyHeads, -1, q.shape[4]])

/** What every query [D,H,B,L,dh] gives to every key of a set, times v or scored with k: [D,H,B,L,C] */
export const againstKeys = (q: Tensor, k: Tensor): Tensor => {
  const [documents, heads, branches, length] = q.shape
  if (!ofTrunk(k)) return q.matmul(repeatHeads(k, heads), { transposeB: true })
  const scores = mergeQueries(q, k.shape[1]).matmul(k, { transposeB: true })
  return scores.reshape([documents, heads, branches, length, k.shape[2]])
}

/** Weights [D,H,B,L,C] times the vectors of a set of keys: [D,H,B,L,dh] */
export const overKeys = (weights: Tensor, v: Tensor): Tensor => {
  const [documents, heads, branches, length] = weights.shape
  if (!ofTrunk(v)) return weights.matmul(repeatHeads(v, heads))
  return mergeQueries(weights, v.shape[1]).matmul(v).reshape([documents, heads, branches, length, v.shape[3]])
}

/** How a query divides itself: its softmax within a set of keys, and the share of that set in the softmax over all. */
export interface SetWeights {
  /** [D,H,B,L,C] */
  readonly within: Tensor
  /** [D,H,B,L,1] */
  readonly share: Tensor
}

/**
 * Attention weights, set by set: the scores of two sets are never put side by side, only what each of them adds up to.
 * All queries against all keys is the largest tensor of a model with small heads, so every pass over it counts.
 */
export const attentionWeights = (inputs: ReadonlyArray<Tensor>, scale: number): ReadonlyArray<SetWeights> => {
  const scaled = inputs[0].mul(scale)
  const sets = keySets(inputs).map(({ k, mask }) =>
    // Added, not selected: the mask is small, and an addition that broadcasts is several times as fast as a selection.
    chunkSum(againstKeys(scaled, k).add(mask.select(scalar(0), MASKED)))
  )
  const top = sets.map((set) => set.top).reduce((largest, other) => largest.maximum(other))
  const masses = sets.map((set) => set.sum.mul(set.top.sub(top).exp()))
  const total = masses.reduce((sum, mass) => sum.add(mass))
  return sets.map(({ softmax }, set) => ({ within: softmax, share: masses[set].div(total) }))
}

/** Every composite by smaller primitives; what a backend without a kernel for it runs, and what its gradient must match. */
export const decompose: { readonly [C in Composite]: Decompose<C> } = {
  softmax: (_, [x]) => {
    const raised = x.sub(x.max(-1, true).stopGradient()).exp()
    return raised.div(raised.sum(-1, true))
  },
  logSoftmax: (_, [x]) => x.sub(logSumExp(x)),
  rmsNorm: ({ eps }, [x, weight]) => x.mul(x.square().mean(-1, true).add(eps).rsqrt()).mul(weight),
  rotary: (_, [x, cos, sin]) => x.mul(concat([cos, cos], -1)).add(rotateHalf(x).mul(concat([sin, sin], -1))),
  swiglu: (_, [gate, up]) => gate.mul(gate.sigmoid()).mul(up),
  keep: (_, [x]) => x,
  selectedLogProb: ({ chunk }, [hidden, vocabulary, ids]) => {
    const parts = vocabularyChunks(vocabulary, chunk).map(({ rows, first }) => {
      const logits = hidden.matmul(rows, { transposeB: true })
      const { top, sum } = chunkSum(logits)
      return [top, sum, chosen(logits, ids, first).expandDims(1)]
    })
    const each = chunkByChunk(parts, 1)
    const top = each.map(([top]) => top).reduce((largest, part) => largest.maximum(part))
    const total = each.map(([own, sum]) => sum.mul(own.sub(top).exp())).reduce((sum, part) => sum.add(part))
    // The largest logit comes off first: what is left is small, and is rounded as such.
    const selected = each.map(([, , chosen]) => chosen).reduce((sum, part) => sum.add(part))
    return selected.sub(top).sub(total.log()).reshape([-1])
  },
  attention: ({ scale }, inputs) => {
    const weights = attentionWeights(inputs, scale)
    const parts = keySets(inputs).map(({ v }, set) => overKeys(weights[set].within, v).mul(weights[set].share))
    return parts.reduce((total, part) => total.add(part))
  }
}

/** A scalar f32. */
export const scalar = (value: number): Tensor => constant(HostTensor.f32([], [value]))

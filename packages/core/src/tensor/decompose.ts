import { HostTensor } from "./HostTensor.ts"
import { concat, constant, iota } from "./operations.ts"
import type { Composite, PrimitiveParams } from "./Primitive.ts"
import type { Tensor } from "./Tensor.ts"

type Decompose<C extends Composite> = (params: PrimitiveParams[C], inputs: ReadonlyArray<Tensor>) => Tensor

/** Stands for minus infinity in masked scores: its exponential is 0 in f32, and no NaN comes of it. */
const MASKED = -1e30

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

/** [n, v] bool: where `ids` [n] point within the chunk that begins at `first`. */
const chosen = (ids: Tensor, first: number, size: number): Tensor =>
  iota([ids.shape[0], size], 1).add(first).equal(ids.expandDims(1))

/** log of the sum of exp over the whole vocabulary, [n, 1], chunk by chunk */
const vocabularyLogSumExp = (hidden: Tensor, vocabulary: Tensor, chunk: number): Tensor => {
  const parts = vocabularyChunks(vocabulary, chunk).map(({ rows }) =>
    logSumExp(hidden.matmul(rows, { transposeB: true }))
  )
  return parts.length === 1 ? parts[0] : logSumExp(concat(parts, 1))
}

/** (a, b) -> (-b, a) of the two halves of the last axis */
const rotateHalf = (x: Tensor): Tensor => {
  const width = x.shape[x.rank - 1]
  return concat([x.sliceAxis(-1, width / 2, width).neg(), x.sliceAxis(-1, 0, width / 2)], -1)
}

/** Tensors of an attention split by their role; `trunk` is empty or holds one entry. */
export const attentionRoles = ([q, k, v, mask, ...rest]: ReadonlyArray<Tensor>) => ({
  q,
  own: { k, v, mask },
  trunk: rest.length === 0 ? [] : [{ k: rest[0], v: rest[1], mask: rest[2] }]
})

/** Key heads repeated until there is one per query head: [D,Hk,...] -> [D,H,...] */
export const repeatHeads = (x: Tensor, heads: number): Tensor => {
  const [documents, keyHeads, ...rest] = x.shape
  if (keyHeads === heads) return x
  const each = heads / keyHeads
  return x
    .expandDims(2)
    .broadcastTo([documents, keyHeads, each, ...rest])
    .reshape([documents, heads, ...rest])
}

/**
 * Queries [D,H,B,L,dh] as rows of one large matrix per key head [D,Hk,(H/Hk)·B·L,dh]: the heads that share keys and
 * the branches that share the trunk become rows of one product with [D,Hk,T,dh].
 */
export const mergeQueries = (q: Tensor, keyHeads: number): Tensor => q.reshape([q.shape[0], keyHeads, -1, q.shape[4]])

/** Attention weights: over the branch's own keys [D,H,B,L,C], and over the trunk's [D,H,B,L,T] when there is one. */
export const attentionWeights = (inputs: ReadonlyArray<Tensor>, scale: number) => {
  const { q, own, trunk } = attentionRoles(inputs)
  const [documents, heads, branches, length] = q.shape
  const scaled = q.mul(scale)
  const ownK = repeatHeads(own.k, heads)
  const ownScores = own.mask.select(scaled.matmul(ownK, { transposeB: true }), MASKED)
  const trunkScores = trunk.map(({ k, mask }) => {
    const rows = mergeQueries(scaled, k.shape[1]).matmul(k, { transposeB: true })
    return mask.select(rows.reshape([documents, heads, branches, length, k.shape[2]]), MASKED)
  })
  const ownKeys = own.k.shape[3]
  const weights = concat([ownScores, ...trunkScores], 4).softmax()
  return {
    own: trunk.length === 0 ? weights : weights.sliceAxis(4, 0, ownKeys),
    trunk: trunkScores.map((scores) => weights.sliceAxis(4, ownKeys, ownKeys + scores.shape[4]))
  }
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
  selectedLogProb: ({ chunk }, [hidden, vocabulary, ids]) => {
    const logits = vocabularyChunks(vocabulary, chunk).map(({ rows, first }) =>
      chosen(ids, first, rows.shape[0])
        .select(hidden.matmul(rows, { transposeB: true }), 0)
        .sum(1)
    )
    const selected = logits.reduce((total, part) => total.add(part))
    return selected.sub(vocabularyLogSumExp(hidden, vocabulary, chunk).reshape([-1]))
  },
  attention: ({ scale }, inputs) => {
    const { q, own, trunk } = attentionRoles(inputs)
    const heads = q.shape[1]
    const weights = attentionWeights(inputs, scale)
    const ownPart = weights.own.matmul(repeatHeads(own.v, heads))
    return trunk.reduce((total, { v }, i) => {
      const rows = weights.trunk[i].reshape([q.shape[0], v.shape[1], -1, v.shape[2]])
      return total.add(rows.matmul(v).reshape(q.shape))
    }, ownPart)
  }
}

/** A scalar f32. */
export const scalar = (value: number): Tensor => constant(HostTensor.f32([], [value]))

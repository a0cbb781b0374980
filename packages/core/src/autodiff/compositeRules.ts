import {
  againstKeys,
  attentionWeights,
  chunkByChunk,
  chunkSum,
  keySets,
  mergeQueries,
  ofTrunk,
  overKeys,
  scalar,
  vocabularyChunks
} from "../tensor/decompose.ts"
import { concat } from "../tensor/operations.ts"
import type { Composite } from "../tensor/Primitive.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { Rule } from "./Rule.ts"
import { unbroadcast } from "./Rule.ts"

/** Another width of chunks: products over them are none that the forward pass made, so they do not become one with those. */
const otherwise = (chunk: number): number => Math.max(1, chunk - Math.ceil(chunk / 8))

/** Probabilities [n,c] from what the forward pass has made of the logits of the chunk: written alike, the two become one. */
const keptProbabilities = (logits: Tensor, logSumExp: Tensor): Tensor => {
  const { top, softmax, sum } = chunkSum(logits)
  return softmax.mul(sum.mul(top.sub(logSumExp).exp()))
}

/** Axes before the last one. */
const leading = (x: Tensor): ReadonlyArray<number> => Array.from({ length: x.rank - 1 }, (_, axis) => axis)

const halves = (x: Tensor): readonly [Tensor, Tensor] => {
  const width = x.shape[x.rank - 1]
  return [x.sliceAxis(-1, 0, width / 2), x.sliceAxis(-1, width / 2, width)]
}

/** Gradients of the repeated heads [D,H,B,C,dh], summed where they share a key head: [D,Hk,B,C,dh] */
const sumHeads = (x: Tensor, keyHeads: number): Tensor => {
  const [documents, heads, ...rest] = x.shape
  return heads === keyHeads ? x : x.reshape([documents, keyHeads, heads / keyHeads, ...rest]).sum(2)
}

/** Gradients of the composites, written by hand: fewer and larger steps than those of their decompositions. */
export const compositeRules: { readonly [C in Composite]: Rule<C> } = {
  /** y ∘ (g - ⟨g, y⟩) */
  softmax: (_, _x, [y], [g]) => {
    const inner = g.mul(y).sum(-1, true)
    return [y.mul(g.sub(inner))]
  },

  /** g - softmax(x) · Σg */
  logSoftmax: (_, _x, [y], [g]) => [g.sub(y.exp().mul(g.sum(-1, true)))],

  /** With n = x·r, r = 1 / sqrt(mean(x²) + eps): dx = r (gw - n mean(gw ∘ n)), dw = Σ g ∘ n */
  rmsNorm: ({ eps }, [x, weight], _y, [g]) => {
    const r = x.square().mean(-1, true).add(eps).rsqrt()
    const normalised = x.mul(r)
    const scaled = g.mul(weight)
    const along = scaled.mul(normalised).mean(-1, true)
    return [r.mul(scaled.sub(normalised.mul(along))), g.mul(normalised).sum(leading(x))]
  },

  /** The gradient turns back: a rotation by -angle. */
  rotary: (_, [x, cos, sin], _y, [g]) => {
    const [a, b] = halves(x)
    const [ga, gb] = halves(g)
    return [
      g.rotary(cos, sin.neg()),
      unbroadcast(ga.mul(a).add(gb.mul(b)), cos),
      unbroadcast(gb.mul(a).sub(ga.mul(b)), sin)
    ]
  },

  keep: (_, _x, _y, [g]) => [g],

  /** With s = sigmoid(gate), h = gate s: dgate = g up (s + h - h s), dup = g h */
  swiglu: (_, [gate, up], _y, [g]) => {
    const s = gate.sigmoid()
    const h = gate.mul(s)
    return [g.mul(up).mul(s.add(h.sub(h.mul(s)))), g.mul(h)]
  },

  /**
   * With p = softmax(logits): dhidden = g (vocabulary[ids] - p·vocabulary), dvocabulary = scatter(g hidden at ids) -
   * pᵀ·(g hidden), both chunk by chunk.
   */
  selectedLogProb: ({ chunk, remake }, [hidden, vocabulary, ids], [y], [g]) => {
    const weight = g.expandDims(1)
    const pulled = hidden.mul(weight)
    const rightRows = vocabulary.gather(ids)
    const logSumExp = hidden.mul(rightRows).sum(1).sub(y).expandDims(1)
    const chunks = vocabularyChunks(vocabulary, remake ? otherwise(chunk) : chunk).map(({ rows }) => {
      const logits = hidden.matmul(rows, { transposeB: true })
      const probabilities = remake ? logits.sub(logSumExp).exp() : keptProbabilities(logits, logSumExp)
      return [probabilities.matmul(pulled.neg(), { transposeA: true }), probabilities.matmul(rows)]
    })
    const parts = remake ? chunkByChunk(chunks, 0) : chunks
    const mean = parts.map(([, mean]) => mean).reduce((total, part) => total.add(part))
    const away = concat(
      parts.map(([rows]) => rows),
      0
    )
    return [rightRows.sub(mean).mul(weight), away.add(pulled.scatterAdd(ids, vocabulary.shape[0])), undefined]
  },

  /**
   * One softmax over all sets of keys: with weights P = share · within and dP = g·vᵀ per set,
   * dS = P ∘ (dP - ⟨g, y⟩), then dq = Σ dS·k · scale, dk = dSᵀ·q · scale, dv = Pᵀ·g. What is per query, share and scale and
   * ⟨g, y⟩, goes into the factors: on [D,H,B,L,C] there is one product and one multiplication.
   */
  attention: ({ scale }, inputs, [y], [g]) => {
    const [q] = inputs
    const scaled = q.mul(scale)
    const weights = attentionWeights(inputs, scale)
    const inner = g.mul(y).sum(-1, true)
    const parts = keySets(inputs).map(({ k, v }, set) => {
      const { within, share } = weights[set]
      const pulled = g.mul(share)
      const less = againstKeys(concat([pulled, inner.mul(share).neg()], -1), withOnes(v))
      const scores = within.mul(less)
      return { q: overKeys(scores, k), k: towardsKeys(scores, scaled, k), v: towardsKeys(within, pulled, v) }
    })
    const dq = parts.map((part) => part.q).reduce((total, part) => total.add(part))
    return [dq.mul(scale), ...parts.flatMap((part) => [part.k, part.v, undefined])]
  }
}

/** [..., n] with a 1 behind: a product with it adds what stands at that place. */
const withOnes = (x: Tensor): Tensor => concat([x, scalar(1).broadcastTo([...x.shape.slice(0, -1), 1])], -1)

/** What queries x [D,H,B,L,dh] send to the keys of a set by their weights [D,H,B,L,C]: a gradient of the shape of `keys`. */
const towardsKeys = (weights: Tensor, x: Tensor, keys: Tensor): Tensor => {
  const keyHeads = keys.shape[1]
  if (!ofTrunk(keys)) return sumHeads(weights.matmul(x, { transposeA: true }), keyHeads)
  return mergeQueries(weights, keyHeads).matmul(mergeQueries(x, keyHeads), { transposeA: true })
}

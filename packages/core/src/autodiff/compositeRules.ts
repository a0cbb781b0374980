import { attentionRoles, attentionWeights, mergeQueries, repeatHeads, vocabularyChunks } from "../tensor/decompose.ts"
import { concat } from "../tensor/operations.ts"
import type { Composite } from "../tensor/Primitive.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { Rule } from "./Rule.ts"
import { unbroadcast } from "./Rule.ts"

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

  /** With s = sigmoid(gate): dgate = g up s (1 + gate (1 - s)), dup = g gate s */
  swiglu: (_, [gate, up], _y, [g]) => {
    const s = gate.sigmoid()
    const slope = s.mul(gate.mul(s.neg().add(1)).add(1))
    return [g.mul(up).mul(slope), g.mul(gate.mul(s))]
  },

  /**
   * logits are made again chunk by chunk, so [n, v] need not exist here either. With p = softmax(logits):
   * dhidden = g (vocabulary[ids] - p·vocabulary), dvocabulary = scatter(g hidden at ids) - (g p)ᵀ·hidden
   */
  selectedLogProb: ({ chunk }, [hidden, vocabulary, ids], [y], [g]) => {
    const size = vocabulary.shape[0]
    const weight = g.expandDims(1)
    const rightRows = vocabulary.gather(ids)
    const logSumExp = hidden.mul(rightRows).sum(1).sub(y).expandDims(1)
    const chunks = vocabularyChunks(vocabulary, chunk)
    const parts = chunks.map(({ rows }) => {
      // A single chunk is the product that the forward pass made: written alike, the two become one. Of several chunks
      // none should outlive its use, so the product is written the other way round, and they stay two.
      const logits =
        chunks.length === 1
          ? hidden.matmul(rows, { transposeB: true })
          : rows.matmul(hidden, { transposeB: true }).transpose()
      const pulled = logits.sub(logSumExp).exp().mul(weight)
      return { hidden: pulled.matmul(rows), rows: pulled.matmul(hidden, { transposeA: true }) }
    })
    const away = parts.map((part) => part.hidden).reduce((total, part) => total.add(part))
    const awayRows = concat(
      parts.map((part) => part.rows),
      0
    )
    return [rightRows.mul(weight).sub(away), hidden.mul(weight).scatterAdd(ids, size).sub(awayRows), undefined]
  },

  /**
   * One softmax over two sets of keys: with weights P and dP = g·vᵀ per set, dS = P ∘ (dP - ⟨g, y⟩) · scale, then
   * dq = Σ dS·k, dk = dSᵀ·q, dv = Pᵀ·g. All branches and all heads that share a trunk's keys are rows of one product.
   */
  attention: ({ scale }, inputs, [y], [g]) => {
    const { q, own, trunk } = attentionRoles(inputs)
    const [, heads] = q.shape
    const keyHeads = own.k.shape[1]
    const weights = attentionWeights(inputs, scale)
    const inner = g.mul(y).sum(-1, true)
    const scores = (weight: Tensor, pulled: Tensor) => weight.mul(pulled.sub(inner)).mul(scale)

    const ownScores = scores(weights.own, g.matmul(repeatHeads(own.v, heads), { transposeB: true }))
    const ownQ = ownScores.matmul(repeatHeads(own.k, heads))
    const ownK = sumHeads(ownScores.matmul(q, { transposeA: true }), keyHeads)
    const ownV = sumHeads(weights.own.matmul(g, { transposeA: true }), keyHeads)

    const trunkParts = trunk.map(({ k, v }, i) => {
      const merged = (x: Tensor) => mergeQueries(x, keyHeads)
      const pulled = merged(g).matmul(v, { transposeB: true }).reshape(weights.trunk[i].shape)
      const trunkScores = merged(scores(weights.trunk[i], pulled))
      return {
        q: trunkScores.matmul(k).reshape(q.shape),
        k: trunkScores.matmul(merged(q), { transposeA: true }),
        v: merged(weights.trunk[i]).matmul(merged(g), { transposeA: true })
      }
    })
    const dq = trunkParts.reduce((total, part) => total.add(part.q), ownQ)
    return [dq, ownK, ownV, undefined, ...trunkParts.flatMap((part) => [part.k, part.v, undefined])]
  }
}

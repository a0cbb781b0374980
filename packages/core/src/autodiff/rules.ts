import { scalar } from "../tensor/decompose.ts"
import { iota } from "../tensor/operations.ts"
import type { Composite, Op } from "../tensor/Primitive.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import { compositeRules } from "./compositeRules.ts"
import type { Rule } from "./Rule.ts"
import { restoreAxes, unbroadcast } from "./Rule.ts"

/** Nothing flows back: the result is no float, or is meant to stand still. */
export const stop = () => []

/** Of primitives that have no gradient, though one could be asked for: why. */
export interface Refusal {
  readonly refused: string
}

/** -1, 0 or 1 */
const sign = (x: Tensor): Tensor => x.greater(0).cast("f32").sub(x.less(0).cast("f32"))

/** For the larger (or smaller) of two operands: all of the gradient, half of it where they are equal. */
const share = (wins: Tensor, tie: Tensor, g: Tensor): Tensor => tie.select(g.mul(0.5), wins.select(g, 0))

/** [..., n] with its last axis folded away: rows of one matrix */
const rows = (x: Tensor): Tensor => x.reshape([-1, x.shape[x.rank - 1]])

/**
 * The gradient of every primitive: (params, inputs, outputs, gradients of the outputs) -> gradients of the inputs.
 * Every rule is written in primitives, so that a gradient can be differentiated again.
 */
export const rules: { readonly [O in Op]: Rule<O> | (O extends Composite ? never : Refusal) } = {
  ...compositeRules,

  input: stop,
  constant: stop,
  iota: stop,

  neg: (_, _x, _y, [g]) => [g.neg()],
  exp: (_, _x, [y], [g]) => [g.mul(y)],
  log: (_, [x], _y, [g]) => [g.div(x)],
  sqrt: (_, _x, [y], [g]) => [g.mul(0.5).div(y)],
  rsqrt: (_, _x, [y], [g]) => [g.mul(-0.5).mul(y).mul(y.square())],
  reciprocal: (_, _x, [y], [g]) => [g.mul(y.square()).neg()],
  tanh: (_, _x, [y], [g]) => [g.mul(y.square().neg().add(1))],
  sigmoid: (_, _x, [y], [g]) => [g.mul(y).mul(y.neg().add(1))],
  sin: (_, [x], _y, [g]) => [g.mul(x.cos())],
  cos: (_, [x], _y, [g]) => [g.mul(x.sin()).neg()],
  /** 0 at 0 */
  abs: (_, [x], _y, [g]) => [g.mul(sign(x))],
  not: stop,
  cast: (_, [x], _y, [g]) => [x.dtype === "f32" ? g : undefined],
  stopGradient: stop,

  add: (_, [a, b], _y, [g]) => [unbroadcast(g, a), unbroadcast(g, b)],
  sub: (_, [a, b], _y, [g]) => [unbroadcast(g, a), unbroadcast(g.neg(), b)],
  mul: (_, [a, b], _y, [g]) => [unbroadcast(g.mul(b), a), unbroadcast(g.mul(a), b)],
  div: (_, [a, b], [y], [g]) => {
    const scaled = g.div(b)
    return [unbroadcast(scaled, a), unbroadcast(scaled.mul(y).neg(), b)]
  },
  /** Equal operands get half each. */
  maximum: (_, [a, b], _y, [g]) => [
    unbroadcast(share(b.less(a), a.equal(b), g), a),
    unbroadcast(share(a.less(b), a.equal(b), g), b)
  ],
  /** Equal operands get half each. */
  minimum: (_, [a, b], _y, [g]) => [
    unbroadcast(share(a.less(b), a.equal(b), g), a),
    unbroadcast(share(b.less(a), a.equal(b), g), b)
  ],
  less: stop,
  equal: stop,
  and: stop,
  or: stop,
  select: (_, [condition, a, b], _y, [g]) => [
    undefined,
    unbroadcast(condition.select(g, 0), a),
    unbroadcast(condition.select(0, g), b)
  ],

  reshape: (_, [x], _y, [g]) => [g.reshape(x.shape)],
  transpose: ({ permutation }, _x, _y, [g]) => [g.transpose(permutation.map((_axis, i) => permutation.indexOf(i)))],
  broadcastTo: (_, [x], _y, [g]) => [unbroadcast(g, x)],
  slice: ({ starts, ends }, [x], _y, [g]) => [
    g.pad(
      starts,
      x.shape.map((extent, axis) => extent - ends[axis])
    )
  ],
  pad: ({ low }, [x], _y, [g]) => [
    g.slice(
      low,
      x.shape.map((extent, axis) => low[axis] + extent)
    )
  ],
  concat: ({ axis }, inputs, _y, [g]) => {
    let start = 0
    return inputs.map(({ shape }) => {
      const from = start
      start += shape[axis]
      return g.sliceAxis(axis, from, start)
    })
  },

  sum: ({ axes }, [x], _y, [g]) => [restoreAxes(g, x, axes).broadcastTo(x.shape)],
  /** Equal maxima share the gradient evenly. */
  max: ({ axes }, [x], [y], [g]) => {
    const winners = x.equal(restoreAxes(y, x, axes)).cast("f32")
    const each = restoreAxes(g, x, axes).div(winners.sum(axes, true))
    return [winners.mul(each)]
  },
  argmax: stop,
  cumsum: ({ reverse }, _x, _y, [g]) => [g.cumsum(!reverse)],
  topK: { refused: "has no gradient; put stopGradient() around it, or pick() the values by index" },

  // C = A·B: dA = dC·Bᵀ, dB = Aᵀ·dC; an operand stored transposed wants its gradient transposed
  matmul: ({ transposeA, transposeB }, [a, b], _y, [g]) => {
    const sharedB = b.rank === 2 && a.rank > 2 && !transposeA // one weight matrix, and batch axes that are more rows of A
    const [left, out] = sharedB ? [rows(a), rows(g)] : [a, g]
    return [
      unbroadcast(
        transposeA
          ? b.matmul(g, { transposeA: transposeB, transposeB: true })
          : g.matmul(b, { transposeB: !transposeB }),
        a
      ),
      unbroadcast(
        transposeB
          ? out.matmul(left, { transposeA: true, transposeB: transposeA })
          : left.matmul(out, { transposeA: !transposeA }),
        b
      )
    ]
  },

  gather: (_, [table, ids], _y, [g]) => [g.scatterAdd(ids, table.shape[0]), undefined],
  scatterAdd: (_, [ids], _y, [g]) => [undefined, g.gather(ids)],
  pick: (_, [x, ids], _y, [g]) => [
    iota(x.shape, x.rank - 1)
      .equal(ids.expandDims(-1))
      .select(g.expandDims(-1), 0),
    undefined
  ],
  updateAt: ({ axis }, [x, row, index], _y, [g]) => {
    const others = x.shape.flatMap((_extent, i) => (i === axis ? [] : [i]))
    const replaced = g.transpose([axis, ...others]).gather(index)
    return [g.updateAt(axis, scalar(0).broadcastTo(row.shape), index), replaced.expandDims(axis), undefined]
  },

  loop: { refused: "has no gradient: its steps are not recorded; put stopGradient() around what it gives" }
}

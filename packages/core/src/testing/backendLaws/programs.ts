import * as fc from "fast-check"
import type { HostTensor } from "../../tensor/HostTensor.ts"
import { attention, concat, iota, selectedLogProb } from "../../tensor/operations.ts"
import type { Tensor } from "../../tensor/Tensor.ts"
import { floats, indices } from "./values.ts"

/** Two tensors [a, b] and what a program has at hand, into another [a, b] of moderate values. */
type Step = (x: Tensor, y: Tensor, at: { readonly ids: Tensor; readonly weight: Tensor; readonly n: number }) => Tensor

const steps: { readonly [name: string]: Step } = {
  add: (x, y) => x.add(y).mul(0.5),
  sub: (x, y) => x.sub(y),
  mul: (x, y) => x.mul(y).tanh(),
  div: (x, y) => x.div(y.square().add(1)),
  exp: (x) => x.tanh().exp(),
  sigmoid: (x) => x.sigmoid(),
  sine: (x, y) => x.sin().add(y.cos()),
  log: (x) => x.square().add(1).log(),
  root: (x) => x.square().add(0.5).sqrt(),
  softmax: (x) => x.softmax(),
  logSoftmax: (x) => x.logSoftmax().tanh(),
  rmsNorm: (x, _, { weight }) => x.rmsNorm(weight, 1e-5),
  swiglu: (x, y) => x.swiglu(y).tanh(),
  keep: (x) => x.keep(),
  matmul: (x, y) => x.matmul(y, { transposeB: true }).matmul(x).tanh(),
  transposed: (x, y) => x.matmul(x.matmul(y, { transposeA: true })).tanh(),
  batched: (x, y) => {
    const pair = concat([x.expandDims(0), y.expandDims(0)], 0)
    return pair.matmul(pair, { transposeB: true }).matmul(y).sum(0).tanh()
  },
  centre: (x) => x.sub(x.mean(0, true)),
  total: (x, y) => x.add(y.sum(1, true)).tanh(),
  rotate: (x, y) => {
    const [rows, width] = x.shape
    return x.reshape([width, rows]).transpose().add(y)
  },
  glue: (x, y) => {
    const [rows] = x.shape
    return concat([x, y], 0).sliceAxis(0, Math.floor(rows / 2), Math.floor(rows / 2) + rows)
  },
  shift: (x) => x.pad([1, 0], [0, 0]).sliceAxis(0, 0, x.shape[0]),
  cumsum: (x) => x.cumsum().tanh(),
  gather: (x, _, { ids }) => x.gather(ids),
  scatter: (x, _, { ids }) => x.scatterAdd(ids, x.shape[0]).tanh(),
  mask: (x, y, { n }) => iota(x.shape, 1).less(n).select(x, y),
  update: (x, y, { n }) =>
    x.updateAt(
      0,
      y.sliceAxis(0, 0, 1),
      iota([5], 0)
        .sliceAxis(0, n % x.shape[0], (n % x.shape[0]) + 1)
        .reshape([])
    ),
  still: (x, y) => x.stopGradient().mul(y).tanh(),
  logprob: (x, y) =>
    x.mul(selectedLogProb(x, y, iota([x.shape[0]], 0), { chunk: 2, remake: true }).expandDims(1)).tanh(),
  attention: (x, y) => {
    const [rows, width] = x.shape
    const heads = (t: Tensor) => t.reshape([1, 1, 1, rows, width])
    const causal = iota([1, 1, 1, rows, rows], 4)
      .greater(iota([1, 1, 1, rows, rows], 3))
      .not()
    const trunk = { k: y.reshape([1, 1, rows, width]), v: x.reshape([1, 1, rows, width]), mask: causal }
    return attention(heads(x), [{ k: heads(y), v: heads(x), mask: causal }, trunk], 0.5).reshape(x.shape)
  }
}

/** A program of a few steps, each on two of the tensors so far; it gives the last, the one before and the first. */
export interface SmallProgram {
  readonly steps: ReadonlyArray<string>
  readonly run: (inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>
  /** x [a,b], y [a,b], weight [b], ids [a] */
  readonly inputs: ReadonlyArray<HostTensor>
  /** [a,b], for the weighted sum that is differentiated */
  readonly weights: HostTensor
}

const step = fc.record({ name: fc.constantFrom(...Object.keys(steps)), x: fc.nat(6), y: fc.nat(6), n: fc.nat(4) })

export const smallPrograms: fc.Arbitrary<SmallProgram> = fc
  .record({
    a: fc.integer({ min: 1, max: 5 }),
    b: fc.integer({ min: 1, max: 6 }),
    plan: fc.array(step, { minLength: 2, maxLength: 9 })
  })
  .chain(({ a, b, plan }) =>
    fc
      .tuple(floats([a, b], "small"), floats([a, b], "small"), floats([b], "small"), indices([a], a))
      .chain((inputs) => floats([a, b], "small").map((weights) => ({ inputs, weights })))
      .map(({ inputs, weights }) => ({ steps: plan.map(({ name }) => name), run: follow(plan), inputs, weights }))
  )

const follow =
  (plan: ReadonlyArray<{ readonly name: string; readonly x: number; readonly y: number; readonly n: number }>) =>
  ([first, second, weight, ids]: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> => {
    const made = [first, second]
    // the latest tensors come first, so that most steps build on one another
    const recent = (back: number) => made[made.length - 1 - (back % made.length)]
    for (const { name, x, y, n } of plan) made.push(steps[name](recent(x), recent(y), { ids, weight, n }))
    return [made[made.length - 1], made[made.length - 2], first]
  }

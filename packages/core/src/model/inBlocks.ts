import { HostTensor } from "../tensor/HostTensor.ts"
import { loop } from "../tensor/loop.ts"
import { constant } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"

/** Logits that are made at a time: 64 MiB of f32, and as much again for each value that is made of them. */
const mostLogits = 2 ** 24

/** Rows of hidden states whose logits over so many tokens are made at a time. */
export const rowsAtATime = (vocabSize: number): number => Math.max(1, Math.floor(mostLogits / vocabSize))

/** Tensors with a row for each of n things: [n, ...]. */
export type Rows = Readonly<Record<string, Tensor>>

/**
 * What `f` gives for each of n rows, which do not see each other. Where they are more than `most` they are taken in blocks,
 * one after the other, so that what `f` makes on its way, logits say, is there for one block at a time. `f` sees other
 * tensors through `fixed` alone.
 */
export const inBlocks = <I extends Rows, F, O extends Rows>(
  rows: I,
  fixed: F,
  most: number,
  f: (rows: I, fixed: F) => O
): O => {
  const [{ shape }] = Object.values(rows)
  const [n] = shape
  if (n <= most) return f(rows, fixed)
  const blocks = Math.ceil(n / most)
  const size = Math.ceil(n / blocks)
  const types = f(
    mapRows(rows, (x) => x.sliceAxis(0, 0, size)),
    fixed
  )
  const start = {
    carried: mapRows(types, ({ dtype, shape }) =>
      constant(HostTensor.fill(dtype, [], 0)).broadcastTo([blocks, ...shape])
    ),
    fixed: {
      fixed,
      rows: mapRows(rows, (x) => padRows(x, blocks * size - n).reshape([blocks, size, ...x.shape.slice(1)]))
    },
    maxSteps: blocks
  }
  const end = loop(start, (step, carried, given) => {
    const made = f(
      mapRows(given.rows, (x) => x.gather(step)),
      given.fixed
    )
    const next = (name: string, all: Tensor) => all.updateAt(0, made[name].expandDims(0), step)
    return { continues: step.less(blocks), carried: mapRows(carried, (all, name) => next(name, all)) }
  })
  return mapRows(end, (x) => x.reshape([blocks * size, ...x.shape.slice(2)]).sliceAxis(0, 0, n))
}

const padRows = (x: Tensor, more: number): Tensor => {
  const none = x.shape.map(() => 0)
  return more === 0 ? x : x.pad(none, none.with(0, more))
}

const mapRows = <R extends Rows>(rows: R, f: (x: Tensor, name: string) => Tensor): R =>
  // Object.entries forgets the keys.
  Object.fromEntries(Object.entries(rows).map(([name, x]) => [name, f(x, name)])) as R

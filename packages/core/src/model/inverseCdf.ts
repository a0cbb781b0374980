import { iota } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"

export interface DrawnIndex {
  /** i32 [n] */
  readonly index: Tensor
  /** f32 [n]: what the weights of the row add up to */
  readonly total: Tensor
}

/**
 * One index per row of weights [n,v], in proportion to them, drawn by inverse CDF from the uniforms [n] in [0,1).
 *
 * In two levels, so that no running sum goes over a whole vocabulary: which block of about √v tokens the draw falls into,
 * then which token of that block. Draws are scaled to the sums as they were rounded, and what has weight 0 is never
 * drawn: every token keeps its share.
 */
export const inverseCdf = (weights: Tensor, uniforms: Tensor): DrawnIndex => {
  const [rows, size] = weights.shape
  const width = 2 ** Math.ceil(Math.log2(Math.sqrt(size)))
  const blocks = Math.ceil(size / width)
  const padded = weights.pad([0, 0], [0, blocks * width - size])
  const grid = padded.reshape([rows, blocks, width])

  const upTo = grid.sum(2).cumsum()
  const total = upTo.sliceAxis(1, blocks - 1, blocks)
  const threshold = uniforms.expandDims(1).mul(total)
  const block = firstAbove(upTo, threshold)
  const before = upTo.pad([0, 1], [0, 0]).pick(block).expandDims(1)

  const own = grid.reshape([rows * blocks, width]).gather(iota([rows], 0).mul(blocks).add(block))
  const index = block.mul(width).add(firstAbove(own.cumsum().add(before), threshold))
  return { index, total: total.reshape([rows]) }
}

/** Of rising sums [n,k] the first above the threshold [n,1], or where rounding leaves none, the first of the largest: i32 [n] */
const firstAbove = (sums: Tensor, threshold: Tensor): Tensor => {
  const last = sums.shape[1]
  const passed = threshold
    .less(sums)
    .not()
    .and(sums.less(sums.sliceAxis(1, last - 1, last)))
  return passed.cast("i32").sum(1)
}

/**
 * Who sees which keys, as masks for attention: bool, true where a key is visible. A layer reaches so many tokens back, the
 * token itself among them, or without end (Infinity).
 */
import { iota } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"

/** Each of `length` queries, `times` over, sees the keys up to itself: [1,1,1,times·length,length]. */
export const ownKeys = (length: number, times: number, reach: number): Tensor => {
  const shape = [1, 1, times, length, length]
  const upTo = iota(shape, 4).greater(iota(shape, 3)).not()
  const seen = reach < length ? upTo.and(iota(shape, 4).greater(iota(shape, 3).sub(reach))) : upTo
  return seen.reshape([1, 1, 1, times * length, length])
}

/**
 * The trunk [D,T] as the `length` tokens of branches see it, `times` over: what stands before the anchor [D,B], as far back
 * as the layer reaches. [D,1,B,1,T], or where the tokens of a branch see different parts [D,1,B,times·length,T].
 */
export const trunkKeys = (anchors: Tensor, trunk: number, length: number, times: number, reach: number): Tensor => {
  const before = visibleTrunk(anchors, trunk)
  if (reach >= trunk + length) return before
  const [documents, branches] = anchors.shape
  const shape = [documents, branches, times, length, trunk]
  const position = iota(shape, 3).add(anchors.reshape([documents, branches, 1, 1, 1]))
  const near = iota(shape, 4).greater(position.sub(reach))
  return before.and(near.reshape([documents, 1, branches, times * length, trunk]))
}

/** Branches see the trunk before their anchor: [D,1,B,1,T]. */
export const visibleTrunk = (anchors: Tensor, length: number): Tensor =>
  iota([1, 1, 1, 1, length], 4).less(anchors.reshape([anchors.shape[0], 1, anchors.shape[1], 1, 1]))

/**
 * Who sees which keys, as masks for attention: bool, true where a key is visible. A layer reaches so many tokens back, the
 * token itself among them, or without end (Infinity).
 */
import { HostTensor } from "../tensor/HostTensor.ts"
import { constant, iota } from "../tensor/operations.ts"
import type { Tensor } from "../tensor/Tensor.ts"
import type { Stretch } from "./segments.ts"

/** Each of `length` queries, `times` over, sees the keys up to itself: [1,1,1,times·length,length]. */
export const ownKeys = (length: number, times: number, reach: number): Tensor => {
  const shape = [1, 1, times, length, length]
  const upTo = iota(shape, 4).greater(iota(shape, 3)).not()
  const seen = reach < length ? upTo.and(iota(shape, 4).greater(iota(shape, 3).sub(reach))) : upTo
  return seen.reshape([1, 1, 1, times * length, length])
}

/**
 * The keys of a branch before a stretch of it as the tokens of the stretch see them, `times` over: all of them, or as far back as the
 * layer reaches. [1,1,1,1 or times·length,before].
 */
export const earlierKeys = ({ from, to }: Stretch, times: number, reach: number): Tensor => {
  if (reach >= to) return constant(HostTensor.fill("bool", [1, 1, 1, 1, 1], 1))
  const shape = [1, 1, times, to - from, from]
  const near = iota(shape, 4).greater(iota(shape, 3).add(from - reach))
  return near.reshape([1, 1, 1, times * (to - from), from])
}

/**
 * The trunk [D,T] as a stretch of each branch sees it, `times` over: what stands before the anchor [D,B], as far back as the layer
 * reaches. [D,1,B,1,T], or where the tokens of a branch see different parts [D,1,B,times·length,T].
 */
export const trunkKeys = (
  anchors: Tensor,
  trunk: number,
  { from, to }: Stretch,
  times: number,
  reach: number
): Tensor => {
  const before = visibleTrunk(anchors, trunk)
  if (reach >= trunk + to) return before
  const [documents, branches] = anchors.shape
  const shape = [documents, branches, times, to - from, trunk]
  const position = iota(shape, 3).add(anchors.add(from).reshape([documents, branches, 1, 1, 1]))
  const near = iota(shape, 4).greater(position.sub(reach))
  return before.and(near.reshape([documents, 1, branches, times * (to - from), trunk]))
}

/** Branches see the trunk before their anchor: [D,1,B,1,T]. */
export const visibleTrunk = (anchors: Tensor, length: number): Tensor =>
  iota([1, 1, 1, 1, length], 4).less(anchors.reshape([anchors.shape[0], 1, anchors.shape[1], 1, 1]))

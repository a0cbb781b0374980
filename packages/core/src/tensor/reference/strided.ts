import type { Shape } from "../HostTensor.ts"
import { sizeOf } from "../HostTensor.ts"
import { sameShape, strides } from "../Shape.ts"
import type { ReferenceValue } from "./ReferenceValue.ts"
import { allocate } from "./ReferenceValue.ts"

/** The places in row-major order of a walk over `shape` that moves by `steps` per axis, starting at `offset`. */
export const walk = (shape: Shape, steps: ReadonlyArray<number>, offset: number, visit: (at: number) => void): void => {
  const inner = shape.length - 1
  if (inner < 0) return visit(offset)
  if (sizeOf(shape) === 0) return
  const index = shape.map(() => 0)
  let at = offset
  for (;;) {
    for (let i = 0; i < shape[inner]; i++) visit(at + i * steps[inner])
    let axis = inner - 1
    for (; axis >= 0; axis--) {
      at += steps[axis]
      if (++index[axis] < shape[axis]) break
      at -= steps[axis] * shape[axis]
      index[axis] = 0
    }
    if (axis < 0) return
  }
}

/** What such a walk reads, as a value of its own. */
export const gatherStrided = (
  x: ReferenceValue,
  shape: Shape,
  steps: ReadonlyArray<number>,
  offset = 0
): ReferenceValue => {
  const data = allocate(x.dtype, sizeOf(shape))
  const from = x.data
  let next = 0
  walk(shape, steps, offset, (at) => {
    data[next++] = from[at]
  })
  return { dtype: x.dtype, shape, data }
}

/** Steps through `from` for a walk over `to`, which it broadcasts to: 0 along stretched axes. */
export const broadcastSteps = (from: Shape, to: Shape): ReadonlyArray<number> => {
  const own = strides(from)
  const added = to.length - from.length
  return to.map((_, axis) => (axis < added || from[axis - added] === 1 ? 0 : own[axis - added]))
}

export const stretch = (x: ReferenceValue, shape: Shape): ReferenceValue =>
  sameShape(x.shape, shape) ? x : gatherStrided(x, shape, broadcastSteps(x.shape, shape))

export const permute = (x: ReferenceValue, permutation: ReadonlyArray<number>): ReferenceValue => {
  const own = strides(x.shape)
  return gatherStrided(
    x,
    permutation.map((axis) => x.shape[axis]),
    permutation.map((axis) => own[axis])
  )
}

/** The last two axes swapped. */
export const swapLast = (x: ReferenceValue): ReferenceValue => {
  const rank = x.shape.length
  return permute(
    x,
    x.shape.map((_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis))
  )
}

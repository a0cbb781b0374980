import type { DType, Shape, TensorType } from "./HostTensor.ts"

/** What is wrong with the arguments of an operation; `Tensor.apply` adds the op, the shapes and the user's line. */
export class ShapeProblem extends Error {}

export const require = (condition: boolean, problem: () => string): void => {
  if (!condition) throw new ShapeProblem(problem())
}

/** `f32[2,3]` */
export const showType = ({ dtype, shape }: TensorType): string => `${dtype}[${shape.join(",")}]`

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((extent, i) => extent === b[i])

/** NumPy broadcasting: shapes align at the right, an extent of 1 stretches. */
export const broadcast = (a: Shape, b: Shape): Shape => {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    require(x === y || x === 1 || y === 1, () => `[${a}] and [${b}] do not broadcast`)
    return x === 1 ? y : x
  })
}

export const broadcastsTo = (from: Shape, to: Shape): boolean =>
  from.length <= to.length && from.every((extent, i) => extent === 1 || extent === to[to.length - from.length + i])

/** Elements to step over per axis, row-major. */
export const strides = (shape: Shape): ReadonlyArray<number> => {
  const out = Array.from(shape, () => 1)
  for (let axis = shape.length - 2; axis >= 0; axis--) out[axis] = out[axis + 1] * shape[axis + 1]
  return out
}

/** Axes counted from the front, sorted; negative ones count from the back. */
export const normalizeAxes = (axes: ReadonlyArray<number>, rank: number): ReadonlyArray<number> => {
  const positive = axes.map((axis) => (axis < 0 ? axis + rank : axis)).toSorted((a, b) => a - b)
  require(positive.every(
    (axis, i) => Number.isInteger(axis) && axis >= 0 && axis < rank && axis !== positive[i - 1]
  ), () => `axes [${axes}] are not distinct axes of a rank-${rank} tensor`)
  return positive
}

/** A shape after its axes were reduced. */
export const reduced = (shape: Shape, axes: ReadonlyArray<number>, keepDims: boolean): Shape =>
  keepDims ? shape.map((extent, i) => (axes.includes(i) ? 1 : extent)) : shape.filter((_, i) => !axes.includes(i))

export const requireDType = (type: TensorType, ...allowed: ReadonlyArray<DType>): void =>
  require(allowed.includes(type.dtype), () => `wants ${allowed.join(" or ")}, got ${showType(type)}`)

import type { Node, Op, Shape } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { alias, reshape as reshaped } from "../../tensors.ts"
import * as blocks from "../blocks.ts"
import { broadcast } from "./broadcast.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

const reshape: Lowering<"reshape"> = ({ params: { shape } }) => one((x) => reshaped(x, shape))

const transpose: Lowering<"transpose"> = ({ params: { permutation } }) =>
  permutation.length < 2 ? one(alias) : one((x) => tf.transpose(x, [...permutation]))

const broadcastTo: Lowering<"broadcastTo"> = ({ params: { shape } }) => one((x) => broadcast(x, shape))

/** Axes that an operation leaves whole are one with the axis before them: the kernels are slow from rank five on. */
const mergeWhole = (
  shape: Shape,
  isWhole: (axis: number) => boolean
): ReadonlyArray<{ axis: number; inner: number }> => {
  const merged: Array<{ axis: number; inner: number }> = []
  let inner = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (axis > 0 && isWhole(axis)) inner *= shape[axis]
    else {
      merged.unshift({ axis, inner })
      inner = 1
    }
  }
  return merged
}

const slice: Lowering<"slice"> = ({ params: { starts, ends }, inputs: [{ shape }], types: [out] }) => {
  const axes = mergeWhole(shape, (axis) => starts[axis] === 0 && ends[axis] === shape[axis])
  if (axes.length === 0) return one(alias)
  const from = axes.map(({ axis, inner }) => shape[axis] * inner)
  const begin = axes.map(({ axis, inner }) => starts[axis] * inner)
  const size = axes.map(({ axis, inner }) => (ends[axis] - starts[axis]) * inner)
  return axes.length === shape.length
    ? one((x) => blocks.slice(x, begin, size))
    : one((x) => reshaped(blocks.slice(reshaped(x, from), begin, size), out.shape))
}

const pad: Lowering<"pad"> = ({ params: { low, high }, inputs: [{ shape }], types: [out] }) => {
  const axes = mergeWhole(shape, (axis) => low[axis] === 0 && high[axis] === 0)
  if (axes.length === 0) return one(alias)
  const from = axes.map(({ axis, inner }) => shape[axis] * inner)
  const amounts = axes.map(({ axis, inner }): [number, number] => [low[axis] * inner, high[axis] * inner])
  return axes.length === shape.length
    ? one((x) => tf.pad(x, amounts))
    : one((x) => reshaped(tf.pad(reshaped(x, from), amounts), out.shape))
}

const concat: Lowering<"concat"> =
  ({ params: { axis }, types: [{ shape }] }) =>
  (inputs) => {
    const parts = inputs.filter((x) => x.size > 0)
    return [parts.length === 1 ? alias(parts[0]) : blocks.concat(parts, axis, shape)]
  }

export const layout = { reshape, transpose, broadcastTo, slice, pad, concat } satisfies {
  readonly [O in Op]?: (node: Node<O>, target: never) => unknown
}

import * as tf from "@tensorflow/tfjs-core"
import { alias } from "../../tensors.ts"
import { cumulate, sumColumns, sumRows } from "../sum.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

const sum: Lowering<"sum"> = ({ params: { axes, keepDims }, inputs: [x], types: [{ shape }] }) => {
  if (axes.length === 0) return one(alias)
  if (x.dtype !== "f32") return one((x) => tf.sum(x, [...axes], keepDims))
  const extent = axes.reduce((product, axis) => product * x.shape[axis], 1)
  if (axes.every((axis, i) => axis === i)) {
    const columns = x.shape.slice(axes.length).reduce((product, extent) => product * extent, 1)
    return one((x) => sumColumns(x, columns, shape))
  }
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis))
  const trailing = axes[0] === kept.length
  return one((x) => sumRows(trailing ? x : tf.transpose(x, [...kept, ...axes]), extent, shape))
}

const max: Lowering<"max"> = ({ params: { axes, keepDims } }) =>
  axes.length === 0 ? one(alias) : one((x) => tf.max(x, [...axes], keepDims))

const argmax: Lowering<"argmax"> = ({ inputs: [x] }) => one((values) => tf.argMax(values, x.rank - 1))

const cumsum: Lowering<"cumsum"> = ({ params: { reverse }, inputs: [x] }) =>
  one((values) => cumulate(values, x.shape[x.rank - 1], reverse))

const topK: Lowering<"topK"> = ({ params: { k } }) => one((x) => tf.topk(x, k, true).values)

/** Has a kernel of its own; the other composites are as fast decomposed. */
const softmax: Lowering<"softmax"> = () => one((x) => tf.softmax(x))

export const reduce = { sum, max, argmax, cumsum, topK, softmax }

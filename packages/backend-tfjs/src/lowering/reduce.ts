import * as tf from "@tensorflow/tfjs-core"
import { alias, reshape } from "../tensors.ts"
import { multiply } from "../wasm/matmul.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

const sum: Lowering<"sum"> = ({ params: { axes, keepDims }, inputs: [x], types: [out] }, { device }) => {
  if (axes.length === 0) return one(alias)
  const leading = axes.every((axis, i) => axis === i)
  if (device === "wasm" && leading && x.dtype === "f32" && axes.length < x.rank) {
    // The Sum kernel would transpose first, element by element: a row of ones times the matrix is six times faster.
    const rows = axes.reduce((product, axis) => product * x.shape[axis], 1)
    return one((x) => reshape(multiply(tf.ones([1, rows]), reshape(x, [rows, x.size / rows])), out.shape))
  }
  return one((x) => tf.sum(x, [...axes], keepDims))
}

const max: Lowering<"max"> = ({ params: { axes, keepDims } }) =>
  axes.length === 0 ? one(alias) : one((x) => tf.max(x, [...axes], keepDims))

const argmax: Lowering<"argmax"> = ({ inputs: [x] }) => one((values) => tf.argMax(values, x.rank - 1))

// The axis is counted from the front: WebAssembly's kernel writes out of bounds for one counted from the back.
const cumsum: Lowering<"cumsum"> = ({ params: { reverse }, inputs: [x] }) =>
  one((values) => tf.cumsum(values, x.rank - 1, false, reverse))

const topK: Lowering<"topK"> = ({ params: { k } }) => one((x) => tf.topk(x, k, true).values)

/** Both backends have a kernel of their own; the other composites are as fast decomposed. */
const softmax: Lowering<"softmax"> = () => one((x) => tf.softmax(x))

export const reduce = { sum, max, argmax, cumsum, topK, softmax }

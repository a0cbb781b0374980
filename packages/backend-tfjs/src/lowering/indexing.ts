import { HostTensor } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { reshape } from "../tensors.ts"
import { gatherRows, replaceAt } from "../wasm/blocks.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

const gather: Lowering<"gather"> = ({ types: [out] }, { device }) =>
  one(
    device === "wasm" ? (table, ids) => gatherRows(table, ids, out.shape) : (table, ids) => tf.gather(table, toI32(ids))
  )

/** Ids carry dtype int32 already; the types of tfjs want to hear it. */
const toI32 = (ids: tf.Tensor): tf.Tensor1D => ids as tf.Tensor1D // tf.gather takes any rank, its type says one or two

const scatterAdd: Lowering<"scatterAdd"> = ({ params: { rows }, inputs: [ids, updates], types: [out] }, { device }) => {
  const count = ids.shape.reduce((product, extent) => product * extent, 1)
  const width = updates.shape.slice(ids.rank).reduce((product, extent) => product * extent, 1)
  const scattered =
    device === "wasm" // no UnsortedSegmentSum there
      ? (ids: tf.Tensor, updates: tf.Tensor) => tf.scatterND(reshape(ids, [count, 1]), updates, [rows, width])
      : (ids: tf.Tensor, updates: tf.Tensor) => tf.unsortedSegmentSum(updates, tf.reshape(ids, [count]), rows)
  return one((ids, updates) => reshape(scattered(ids, reshape(updates, [count, width])), out.shape))
}

const pick: Lowering<"pick"> = ({ inputs: [x, ids], types: [out] }, { keep }) => {
  const width = x.shape[x.rank - 1]
  const count = ids.shape.reduce((product, extent) => product * extent, 1)
  const firsts = keep(
    HostTensor.i32(
      [count],
      Array.from({ length: count }, (_, row) => row * width)
    )
  )
  return one((x, ids) =>
    reshape(tf.gather(reshape(x, [-1]), tf.add<tf.Tensor1D>(tf.reshape(ids, [count]), firsts)), out.shape)
  )
}

const updateAt: Lowering<"updateAt"> = ({ params: { axis }, inputs: [{ shape }] }, { device }) =>
  one((x, row, index) => {
    // Reading the index waits for it; a loop's position is a step counter, which is at hand.
    const at = index.dataSync()[0]
    if (device === "wasm") return replaceAt(x, axis, row, at)
    const part = (from: number, to: number) =>
      tf.slice(
        x,
        shape.map((_, i) => (i === axis ? from : 0)),
        shape.map((extent, i) => (i === axis ? to - from : extent))
      )
    const parts = [...(at > 0 ? [part(0, at)] : []), row, ...(at + 1 < shape[axis] ? [part(at + 1, shape[axis])] : [])]
    return parts.length === 1 ? reshape(row, shape) : tf.concat(parts, axis)
  })

export const indexing = { gather, scatterAdd, pick, updateAt }

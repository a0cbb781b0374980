import { HostTensor } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { reshape } from "../../tensors.ts"
import { gatherRows, replaceAt } from "../blocks.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

const gather: Lowering<"gather"> = ({ types: [out] }) => one((table, ids) => gatherRows(table, ids, out.shape))

const scatterAdd: Lowering<"scatterAdd"> = ({ params: { rows }, inputs: [ids, updates], types: [out] }) => {
  const count = ids.shape.reduce((product, extent) => product * extent, 1)
  const width = updates.shape.slice(ids.rank).reduce((product, extent) => product * extent, 1)
  return one((ids, updates) =>
    reshape(tf.scatterND(reshape(ids, [count, 1]), reshape(updates, [count, width]), [rows, width]), out.shape)
  )
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

const updateAt: Lowering<"updateAt"> = ({ params: { axis } }) =>
  // Reading the index waits for nothing: a loop's position is a step counter, which is at hand.
  one((x, row, index) => replaceAt(x, axis, row, index.dataSync()[0]))

export const indexing = { gather, scatterAdd, pick, updateAt }

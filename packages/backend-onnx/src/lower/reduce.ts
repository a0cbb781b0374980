import { attribute, dataType } from "../onnxProto.ts"
import { isEmpty } from "./Emitter.ts"
import type { Lower } from "./Lower.ts"

const reduction =
  (opType: string): Lower<"sum" | "max"> =>
  (emit, [x], { params: { axes, keepDims } }) =>
    axes.length === 0
      ? x
      : emit.node(opType, [x, emit.int64s(axes)], { attributes: [attribute.int("keepdims", keepDims ? 1 : 0)] })

const sum = reduction("ReduceSum")

export const reduce: { readonly [O in "sum" | "max" | "argmax" | "cumsum" | "topK"]: Lower<O> } = {
  sum: (emit, names, node) =>
    isEmpty(node.inputs[0]) ? emit.filled(node.types[0].dtype, node.types[0].shape, 0) : sum(emit, names, node),
  max: reduction("ReduceMax"),
  argmax: (emit, [x]) => {
    const attributes = [attribute.int("axis", -1), attribute.int("keepdims", 0), attribute.int("select_last_index", 0)]
    const index = emit.node("ArgMax", [x], { attributes })
    return emit.node("Cast", [index], { attributes: [attribute.int("to", dataType.i32)] })
  },
  cumsum: (emit, [x], { params: { reverse } }) =>
    emit.node("CumSum", [x, emit.int64Tensor([], [-1])], { attributes: [attribute.int("reverse", reverse ? 1 : 0)] }),
  topK: (emit, [x], { params: { k } }) => emit.nodes("TopK", [x, emit.int64s([k])], 2)[0]
}

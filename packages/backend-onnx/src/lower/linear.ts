import type { Node } from "@foretoken/core"
import { attribute } from "../onnxProto.ts"
import { isEmpty } from "./Emitter.ts"
import type { Emitter } from "./Emitter.ts"
import type { Lower } from "./Lower.ts"

export const linear: { readonly matmul: Lower<"matmul"> } = {
  matmul: (emit, [a, b], { params, inputs, types }) => {
    const [{ shape }] = types
    if (inputs.some(isEmpty)) return emit.filled("f32", shape, 0)
    if (emit.device === "webgpu") return product(emit, a, b, params, inputs)
    const alone = { row: shape.at(-2) === 1, column: shape.at(-1) === 1 }
    const { transposeA, transposeB } = params
    const rows = alone.row ? emit.expand(a, inputs[0].shape.with(transposeA ? -1 : -2, 2)) : a
    const columns = alone.column ? emit.expand(b, inputs[1].shape.with(transposeB ? -2 : -1, 2)) : b
    const whole = product(emit, rows, columns, params, inputs)
    if (!alone.row && !alone.column) return whole
    const axes = [...(alone.row ? [-2] : []), ...(alone.column ? [-1] : [])]
    const each = (value: number) => emit.int64s(axes.map(() => value))
    return emit.node("Slice", [whole, each(0), each(1), emit.int64s(axes)])
  }
}

const product = (
  emit: Emitter,
  a: string,
  b: string,
  { transposeA, transposeB }: Node<"matmul">["params"],
  inputs: Node<"matmul">["inputs"]
): string => {
  if (!transposeA && !transposeB) return emit.node("MatMul", [a, b])
  if (emit.device === "webgpu") {
    // FusedMatMul has no kernel there.
    const rank = inputs.map(({ shape }) => shape.length)
    return emit.node("MatMul", [
      transposeA ? swapLastAxes(emit, a, rank[0]) : a,
      transposeB ? swapLastAxes(emit, b, rank[1]) : b
    ])
  }
  // Of onnxruntime: MatMul that reads an operand as it is stored, batches and all. As fast as Gemm.
  return emit.node("FusedMatMul", [a, b], {
    domain: "com.microsoft",
    attributes: [attribute.int("transA", transposeA ? 1 : 0), attribute.int("transB", transposeB ? 1 : 0)]
  })
}

const swapLastAxes = (emit: Emitter, x: string, rank: number): string => {
  const perm = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i))
  return emit.node("Transpose", [x], { attributes: [attribute.ints("perm", perm)] })
}

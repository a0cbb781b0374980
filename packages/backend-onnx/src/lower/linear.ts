import { attribute } from "../onnxProto.ts"
import { isEmpty } from "./Emitter.ts"
import type { Lower } from "./Lower.ts"

export const linear: { readonly matmul: Lower<"matmul"> } = {
  matmul: (emit, [a, b], { params: { transposeA, transposeB }, inputs, types }) => {
    if (inputs.some(isEmpty)) return emit.filled("f32", types[0].shape, 0)
    if (!transposeA && !transposeB) return emit.node("MatMul", [a, b])
    // Of onnxruntime: MatMul that reads an operand as it is stored, batches and all. As fast as Gemm.
    return emit.node("FusedMatMul", [a, b], {
      domain: "com.microsoft",
      attributes: [attribute.int("transA", transposeA ? 1 : 0), attribute.int("transB", transposeB ? 1 : 0)]
    })
  }
}

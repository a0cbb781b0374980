import { attribute } from "../onnxProto.ts"
import { isEmpty } from "./Emitter.ts"
import type { Emitter } from "./Emitter.ts"
import type { Lower } from "./Lower.ts"

export const linear: { readonly matmul: Lower<"matmul"> } = {
  matmul: (emit, [a, b], { params: { transposeA, transposeB }, inputs, types }) => {
    if (inputs.some(isEmpty)) return emit.filled("f32", types[0].shape, 0)
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
}

const swapLastAxes = (emit: Emitter, x: string, rank: number): string => {
  const perm = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i))
  return emit.node("Transpose", [x], { attributes: [attribute.ints("perm", perm)] })
}

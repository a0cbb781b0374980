import type { Op } from "@foretoken/core"
import { sizeOf } from "@foretoken/core"
import type { Lowering } from "../FunctionBuilder.ts"
import { attribute } from "../savedModel.ts"

/**
 * BatchMatMul for single matrices too: it goes to oneDNN's matmul, MatMul to its older gemm, which takes half as long again
 * over the few rows of a decoding step and knows no bfloat16.
 */
const matmul: Lowering<"matmul"> = (
  { params: { transposeA, transposeB }, inputs: [a, b], types: [out] },
  [x, y],
  f
) => {
  const attr = { T: attribute.type("f32"), adj_x: attribute.bool(transposeA), adj_y: attribute.bool(transposeB) }
  const product = (a: string, b: string) => f.add("BatchMatMulV2", [a, b], attr)
  // One matrix on the right serves every batch on the left: the batches are rows of one large product.
  const oneRight = sizeOf(b.shape.slice(0, -2)) === 1
  if (out.shape.length === 2 || !oneRight || transposeA) return [product(x, y)]
  const rows = f.reshape(x, "f32", [sizeOf(a.shape.slice(0, -1)), a.shape[a.rank - 1]])
  return [f.reshape(product(rows, f.reshape(y, "f32", b.shape.slice(-2))), "f32", out.shape)]
}

export const linear = { matmul } satisfies { readonly [O in Op]?: Lowering<O> }

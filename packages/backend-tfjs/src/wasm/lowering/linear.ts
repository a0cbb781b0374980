import type { PrimitiveParams, Shape } from "@foretoken/core"
import { sizeOf } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { reshape } from "../../tensors.ts"
import { multiply, multiplyBatch } from "../matmul.ts"
import { broadcast } from "./broadcast.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

type Flags = PrimitiveParams["matmul"]
type Product = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor

const matmul: Lowering<"matmul"> = ({ params, inputs: [a, b], types: [out] }) => {
  const { transposeA } = params
  const [m, n] = out.shape.slice(-2)
  const k = a.shape[a.rank - (transposeA ? 2 : 1)]
  const batch = out.shape.slice(0, -2)
  // One matrix on the right serves every batch on the left: the batches are rows of one large product.
  if (sizeOf(b.shape.slice(0, -2)) === 1 && (!transposeA || a.rank === 2)) {
    const rows = a.rank === 2 ? m : sizeOf(batch) * m
    const product = transposedFirst(multiply, params, [rows, k, n])
    const left = a.rank === 2 ? a.shape : [rows, k]
    return one((a, b) => fitted(product(fitted(a, left), fitted(b, b.shape.slice(-2))), out.shape))
  }
  return one(transposedFirst(batched(batch), params, [m, k, n]))
}

const fitted = (x: tf.Tensor, shape: Shape): tf.Tensor => (x.shape.length === shape.length ? x : reshape(x, shape))

/**
 * A product of operands as they are stored from one of operands in order: WebAssembly's kernel is ten times slower with
 * its flags set, so operands are transposed first, or change sides where less is moved so: a·b = (bᵀ·aᵀ)ᵀ. The right
 * operand is packed, which costs as much as a transpose.
 */
const transposedFirst = (
  product: Product,
  { transposeA, transposeB }: Flags,
  [m, k, n]: readonly [number, number, number]
): Product => {
  const moved = (a: boolean, b: boolean, out: boolean) => Number(a) * m * k + Number(b) * k * n + Number(out) * m * n
  const direct = moved(transposeA, transposeB, false) + k * n
  const mirrored = moved(!transposeA, !transposeB, true) + m * k
  return direct <= mirrored
    ? (a, b) => product(transposeA ? swapped(a) : a, transposeB ? swapped(b) : b)
    : (a, b) => swapped(product(transposeB ? b : swapped(b), transposeA ? a : swapped(a)))
}

/** (…batch, rows, columns) -> (…batch, columns, rows) */
const swapped = (x: tf.Tensor): tf.Tensor => {
  const axes = x.shape.map((_, axis) => axis)
  return tf.transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2])
}

const batched =
  (batch: Shape): Product =>
  (a, b) => {
    const whole = (x: tf.Tensor) => {
      const [rows, columns] = x.shape.slice(-2)
      return reshape(broadcast(x, [...batch, rows, columns]), [-1, rows, columns])
    }
    const product = multiplyBatch(whole(a), whole(b))
    return reshape(product, [...batch, ...product.shape.slice(-2)])
  }

export const linear = { matmul }

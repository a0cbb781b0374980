import type { Shape } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { reshape } from "../tensors.ts"
import { multiply, multiplyBatch } from "../wasm/matmul.ts"
import { broadcast } from "./broadcast.ts"
import type { Kernel, Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

const sizeOf = (shape: Shape): number => shape.reduce((product, extent) => product * extent, 1)

/** (…batch, rows, columns) -> (…batch, columns, rows) */
const swapped = (x: tf.Tensor): tf.Tensor => {
  const axes = x.shape.map((_, axis) => axis)
  return tf.transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2])
}

const matmul: Lowering<"matmul"> = ({ params, inputs: [a, b], types: [out] }, { device }) => {
  const { transposeA, transposeB } = params
  const [m, n] = out.shape.slice(-2)
  const k = a.shape[a.rank - (transposeA ? 2 : 1)]
  const product = device === "wasm" ? wasmProduct : tf.matMul
  // One matrix on the right serves every batch on the left: the batches are rows of one large product.
  if (sizeOf(b.shape.slice(0, -2)) === 1 && (!transposeA || a.rank === 2)) {
    const [rows, columns] = b.shape.slice(-2)
    const left: Shape = a.rank === 2 ? a.shape : [-1, k]
    const whole = (x: tf.Tensor, shape: Shape) => (x.shape.length === 2 ? x : reshape(x, shape))
    return one((a, b) => fitted(product(whole(a, left), whole(b, [rows, columns]), transposeA, transposeB), out.shape))
  }
  return device === "wasm"
    ? wasmBatch(out.shape.slice(0, -2), params, [m, k, n])
    : one((a, b) => tf.matMul(a, b, transposeA, transposeB))
}

const fitted = (x: tf.Tensor, shape: Shape): tf.Tensor => (x.shape.length === shape.length ? x : reshape(x, shape))

/**
 * WebAssembly's kernel is ten times slower with its flags set, so an operand is transposed first. For few rows times a
 * large transposed matrix (a step of decoding) it is the rows that are: a · bᵀ = (b · aᵀ)ᵀ.
 */
const wasmProduct = (a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean): tf.Tensor => {
  if (!transposeB) return multiply(transposeA ? swapped(a) : a, b)
  const outputs = (a.size / b.shape[1]!) * b.shape[0] // b is a matrix here
  return 2 * a.size + outputs < 2 * b.size
    ? swapped(multiply(b, transposeA ? a : swapped(a)))
    : multiply(transposeA ? swapped(a) : a, swapped(b))
}

const wasmBatch = (
  batch: Shape,
  { transposeA, transposeB }: { readonly transposeA: boolean; readonly transposeB: boolean },
  [m, k, n]: ReadonlyArray<number>
): Kernel => {
  const side = (x: tf.Tensor, isTransposed: boolean, rows: number, columns: number): tf.Tensor =>
    reshape(broadcast(isTransposed ? swapped(x) : x, [...batch, rows, columns], "wasm"), [-1, rows, columns])
  return one((a, b) => reshape(multiplyBatch(side(a, transposeA, m, k), side(b, transposeB, k, n)), [...batch, m, n]))
}

export const linear = { matmul }

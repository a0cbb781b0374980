import type { Node, Op, Shape } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { alias, reshape, tfType } from "../tensors.ts"
import { stretch } from "../wasm/stretch.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

type Unary =
  | "neg"
  | "exp"
  | "log"
  | "sqrt"
  | "rsqrt"
  | "reciprocal"
  | "tanh"
  | "sigmoid"
  | "sin"
  | "cos"
  | "abs"
  | "not"
type Binary = "add" | "sub" | "mul" | "div" | "maximum" | "minimum" | "less" | "equal" | "and" | "or"

const unary =
  <O extends Unary>(f: (x: tf.Tensor) => tf.Tensor): Lowering<O> =>
  () =>
    one(f)

/** XNNPACK, which WebAssembly's arithmetic runs on, knows six axes and answers nonsense beyond. */
const XNNPACK_AXES = 6

const binary =
  <O extends Binary>(f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Lowering<O> =>
  ({ types: [{ shape }] }, { device }) => {
    if (device === "tensorflow" || shape.length <= XNNPACK_AXES) return one(f)
    return one((a, b) => reshape(f(flat(a, shape), flat(b, shape)), shape))
  }

const flat = (x: tf.Tensor, shape: Shape): tf.Tensor => reshape(stretch(x, shape), [-1])

const select: Lowering<"select"> = ({ types: [{ shape }] }, { device }) =>
  device === "tensorflow"
    ? one((condition, a, b) => tf.where(condition, a, b))
    : // tf.where stretches its arguments with the Tile kernel, twenty times slower than `stretch`
      one((condition, a, b) =>
        tf.engine().runKernel(tf.Select, {
          condition: stretch(condition, shape),
          t: stretch(a, shape),
          e: stretch(b, shape)
        })
      )

const cast: Lowering<"cast"> = ({ params: { dtype }, inputs: [x] }) => {
  if (x.dtype === dtype) return one(alias)
  // WebAssembly casts to bool by dropping all but the lowest byte: 256 and 0.5 would be false.
  return dtype === "bool" ? one((x) => tf.notEqual(x, tf.scalar(0, x.dtype))) : one((x) => tf.cast(x, tfType(dtype)))
}

export const elementwise = {
  neg: unary(tf.neg),
  exp: unary(tf.exp),
  log: unary(tf.log),
  sqrt: unary(tf.sqrt),
  rsqrt: unary(tf.rsqrt),
  reciprocal: unary(tf.reciprocal),
  tanh: unary(tf.tanh),
  sigmoid: unary(tf.sigmoid),
  sin: unary(tf.sin),
  cos: unary(tf.cos),
  abs: unary(tf.abs),
  not: unary(tf.logicalNot),
  cast,

  add: binary(tf.add),
  sub: binary(tf.sub),
  mul: binary(tf.mul),
  div: binary(tf.div),
  maximum: binary(tf.maximum),
  minimum: binary(tf.minimum),
  less: binary(tf.less),
  equal: binary(tf.equal),
  and: binary(tf.logicalAnd),
  or: binary(tf.logicalOr),
  select
} satisfies { readonly [O in Op]?: (node: Node<O>, target: never) => unknown }

import type { Node, Op } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { alias, reshape, tfType } from "../../tensors.ts"
import { mapElements } from "../mapElements.ts"
import * as elements from "../select.ts"
import { broadcast } from "./broadcast.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

type Unary = "neg" | "exp" | "log" | "sqrt" | "rsqrt" | "reciprocal" | "tanh" | "sigmoid" | "abs" | "not"
type Binary = "add" | "sub" | "mul" | "div" | "maximum" | "minimum" | "less" | "equal" | "and" | "or"

const unary =
  <O extends Unary>(f: (x: tf.Tensor) => tf.Tensor): Lowering<O> =>
  () =>
    one(f)

/** WebAssembly's kernels for these err by 2e-7 near zero, where the result is a thousandth. */
const angle =
  <O extends "sin" | "cos">(onHost: (x: number) => number): Lowering<O> =>
  () =>
    one((x) => mapElements(x, onHost))

/** Axes that broadcast within an operation: beyond them XNNPACK answers nonsense. */
const BROADCAST_AXES = 6

const binary =
  <O extends Binary>(f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Lowering<O> =>
  ({ op, inputs: [{ dtype }], types: [{ shape }] }) => {
    if (shape.length > BROADCAST_AXES) {
      const flat = (x: tf.Tensor) => reshape(broadcast(x, shape), [-1])
      return one((a, b) => reshape(f(flat(a), flat(b)), shape))
    }
    if (dtype === "f32" && onXnnpack.has(op)) return one(f)
    // The other kernels of WebAssembly take 50 ns an element to broadcast, unless it is a scalar.
    const ready = (x: tf.Tensor) => (x.size === 1 ? x : broadcast(x, shape))
    return one((a, b) => f(ready(a), ready(b)))
  }

const onXnnpack: ReadonlySet<Op> = new Set<Op>(["add", "sub", "mul", "div"])

const select: Lowering<"select"> = ({ types: [{ shape }] }) =>
  one((condition, a, b) => elements.select(condition, a, b, shape))

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
  sin: angle(Math.sin),
  cos: angle(Math.cos),
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

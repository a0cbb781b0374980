import type { Node, Op } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import { alias, reshape, tfType } from "../tensors.ts"
import { mapElements } from "../wasm/mapElements.ts"
import { select as selectOnWasm } from "../wasm/select.ts"
import { broadcast } from "./broadcast.ts"
import type { Lowering } from "./Lowering.ts"
import { one } from "./Lowering.ts"

type Unary = "neg" | "exp" | "log" | "sqrt" | "rsqrt" | "tanh" | "sigmoid" | "abs" | "not"
type Binary = "add" | "sub" | "mul" | "div" | "maximum" | "minimum" | "less" | "equal" | "and" | "or"

const unary =
  <O extends Unary>(f: (x: tf.Tensor) => tf.Tensor): Lowering<O> =>
  () =>
    one(f)

// libtensorflow's own Reciprocal is an estimate, off by three units in the last place; its division is exact.
const reciprocal: Lowering<"reciprocal"> = (_, { device }) =>
  one(device === "tensorflow" ? (x) => tf.div(1, x) : tf.reciprocal)

/** WebAssembly's kernels for these err by 2e-7 near zero, where the result is a thousandth. */
const angle =
  <O extends "sin" | "cos">(f: (x: tf.Tensor) => tf.Tensor, onHost: (x: number) => number): Lowering<O> =>
  (_, { device }) =>
    one(device === "wasm" ? (x) => mapElements(x, onHost) : f)

/** Axes that broadcast within an operation: libtensorflow refuses more, XNNPACK (WebAssembly) answers nonsense. */
const broadcastAxes = { tensorflow: 5, wasm: 6 }

const binary =
  <O extends Binary>(f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Lowering<O> =>
  ({ op, inputs: [{ dtype }], types: [{ shape }] }, { device }) => {
    if (shape.length > broadcastAxes[device]) {
      const flat = (x: tf.Tensor) => reshape(broadcast(x, shape, device), [-1])
      return one((a, b) => reshape(f(flat(a), flat(b)), shape))
    }
    if (device === "tensorflow" || (dtype === "f32" && onXnnpack.has(op))) return one(f)
    // The other kernels of WebAssembly take 50 ns an element to broadcast, unless it is a scalar.
    const ready = (x: tf.Tensor) => (x.size === 1 ? x : broadcast(x, shape, device))
    return one((a, b) => f(ready(a), ready(b)))
  }

const onXnnpack: ReadonlySet<Op> = new Set<Op>(["add", "sub", "mul", "div"])

const select: Lowering<"select"> = ({ types: [{ shape }] }, { device }) => {
  if (device === "wasm") return one((condition, a, b) => selectOnWasm(condition, a, b, shape))
  const ready = (x: tf.Tensor) => broadcast(x, shape, device)
  return one((condition, a, b) =>
    tf.engine().runKernel(tf.Select, { condition: ready(condition), t: ready(a), e: ready(b) })
  )
}

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
  reciprocal,
  tanh: unary(tf.tanh),
  sigmoid: unary(tf.sigmoid),
  sin: angle(tf.sin, Math.sin),
  cos: angle(tf.cos, Math.cos),
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

import type { Op } from "@foretoken/core"
import type { Lowering, Output } from "../FunctionBuilder.ts"
import { BROADCAST_AXES } from "../FunctionBuilder.ts"
import { attribute } from "../savedModel.ts"

type Unary = "neg" | "exp" | "log" | "sqrt" | "rsqrt" | "tanh" | "sigmoid" | "sin" | "cos" | "abs"
type Binary = "add" | "sub" | "mul" | "div" | "maximum" | "minimum" | "less" | "equal" | "and" | "or"

const unary =
  <O extends Unary>(op: string): Lowering<O> =>
  ({ types: [{ dtype }] }, inputs, f) => [f.add(op, inputs, { T: attribute.type(dtype) }, "y")]

// TensorFlow's own Reciprocal is an estimate, off by three units in the last place; its division is exact.
const reciprocal: Lowering<"reciprocal"> = (_, [x], f) => [
  f.add("RealDiv", [f.scalar("f32", 1), x], { T: attribute.type("f32") }, "z")
]

const binary =
  <O extends Binary>(op: string): Lowering<O> =>
  ({ inputs: operands, types: [{ shape }] }, inputs, f) => {
    const { dtype } = operands[0]
    const attr = dtype === "bool" ? {} : { T: attribute.type(dtype) }
    const strict = op === "Equal" ? { incompatible_shape_error: attribute.bool(true) } : {}
    const apply = (a: Output, b: Output) => f.add(op, [a, b], { ...attr, ...strict }, "z")
    if (shape.length <= BROADCAST_AXES) return [apply(inputs[0], inputs[1])]
    const [a, b] = inputs.map((x, i) => f.reshape(f.broadcastTo(x, operands[i], shape), dtype, [-1]))
    return [f.reshape(apply(a, b), op === "Less" || op === "Equal" ? "bool" : dtype, shape)]
  }

const not: Lowering<"not"> = (_, inputs, f) => [f.add("LogicalNot", inputs, {}, "y")]

const select: Lowering<"select"> = ({ inputs: operands, types: [{ dtype, shape }] }, inputs, f) => {
  const many = shape.length > BROADCAST_AXES
  const ready = many ? inputs.map((x, i) => f.broadcastTo(x, operands[i], shape)) : inputs
  return [f.add("SelectV2", ready, { T: attribute.type(dtype) })]
}

const cast: Lowering<"cast"> = ({ params: { dtype }, inputs: [x] }, inputs, f) => {
  if (x.dtype === dtype) return inputs
  const from = attribute.type(x.dtype)
  if (dtype !== "bool") return [f.add("Cast", inputs, { SrcT: from, DstT: attribute.type(dtype) }, "y")]
  const attr = { T: from, incompatible_shape_error: attribute.bool(true) }
  return [f.add("NotEqual", [inputs[0], f.scalar(x.dtype, 0)], attr, "z")]
}

/**
 * The sigmoid last. What TensorFlow sees as gate * sigmoid(gate) it fuses, with other last bits, where no gradient reads the
 * sigmoid: a sampler would come to other hidden states than the learner.
 */
const swiglu: Lowering<"swiglu"> = (_, [gate, up], f) => {
  const attr = { T: attribute.type("f32") }
  const sigmoid = f.add("Sigmoid", [gate], attr, "y")
  return [f.add("Mul", [f.add("Mul", [gate, up], attr, "z"), sigmoid], attr, "z")]
}

export const elementwise = {
  neg: unary("Neg"),
  exp: unary("Exp"),
  log: unary("Log"),
  sqrt: unary("Sqrt"),
  rsqrt: unary("Rsqrt"),
  reciprocal,
  tanh: unary("Tanh"),
  sigmoid: unary("Sigmoid"),
  sin: unary("Sin"),
  cos: unary("Cos"),
  abs: unary("Abs"),
  not,
  cast,
  swiglu,

  add: binary("AddV2"),
  sub: binary("Sub"),
  mul: binary("Mul"),
  div: binary("RealDiv"),
  maximum: binary("Maximum"),
  minimum: binary("Minimum"),
  less: binary("Less"),
  equal: binary("Equal"),
  and: binary("LogicalAnd"),
  or: binary("LogicalOr"),
  select
} satisfies { readonly [O in Op]?: Lowering<O> }

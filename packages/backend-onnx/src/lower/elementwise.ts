import { isHalf } from "@foretoken/core"
import { attribute, dataType, halfType } from "../onnxProto.ts"
import type { Lower } from "./Lower.ts"

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

/** A primitive that ONNX has under another name. */
const named =
  (opType: string) =>
  (emit: Parameters<Lower<Unary | Binary>>[0], inputs: ReadonlyArray<string>): string =>
    emit.node(opType, inputs)

export const elementwise: { readonly [O in Unary | Binary | "cast" | "stopGradient" | "select"]: Lower<O> } = {
  neg: named("Neg"),
  exp: named("Exp"),
  log: named("Log"),
  sqrt: named("Sqrt"),
  rsqrt: (emit, [x]) => emit.node("Reciprocal", [emit.node("Sqrt", [x])]),
  reciprocal: named("Reciprocal"),
  tanh: named("Tanh"),
  sigmoid: named("Sigmoid"),
  sin: named("Sin"),
  cos: named("Cos"),
  abs: named("Abs"),
  not: named("Not"),
  cast: (emit, [x], { params, inputs: [{ dtype }] }) => {
    const to = [attribute.int("to", dataType[params.dtype])]
    if (!isHalf(dtype)) return emit.node("Cast", [x], { attributes: to })
    const bits = [attribute.int("to", halfType[dtype])]
    if (!emit.isMadeHere(x)) return emit.nodeBeforeAll("Cast", [emit.nodeBeforeAll("BitCast", [x], bits)], to)
    return emit.node("Cast", [emit.node("BitCast", [x], { attributes: bits })], { attributes: to })
  },
  stopGradient: (_, [x]) => x,

  add: named("Add"),
  sub: named("Sub"),
  mul: named("Mul"),
  div: named("Div"),
  maximum: named("Max"),
  minimum: named("Min"),
  less: named("Less"),
  equal: named("Equal"),
  and: named("And"),
  or: named("Or"),
  select: (emit, [condition, a, b], { types }) => {
    if (types[0].dtype !== "bool") return emit.node("Where", [condition, a, b])
    // Where has no kernel for bool.
    const otherwise = emit.node("And", [emit.node("Not", [condition]), b])
    return emit.node("Or", [emit.node("And", [condition, a]), otherwise])
  }
}

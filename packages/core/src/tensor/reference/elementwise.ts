import { floatsOf } from "../half.ts"
import { isHalf } from "../HostTensor.ts"
import type { Half } from "../HostTensor.ts"
import type { TensorType } from "../HostTensor.ts"
import type { Kernels } from "./Kernel.ts"
import type { ReferenceValue } from "./ReferenceValue.ts"
import { filled } from "./ReferenceValue.ts"
import { stretch } from "./strided.ts"

type Elementwise = Kernels<
  | "neg" | "exp" | "log" | "sqrt" | "rsqrt" | "reciprocal" | "tanh" | "sigmoid" | "sin" | "cos" | "abs" | "not" | "cast"
  | "stopGradient" | "add" | "sub" | "mul" | "div" | "maximum" | "minimum" | "less" | "equal" | "and" | "or" | "select"
> // prettier-ignore

const unary =
  (f: (x: number) => number) =>
  (_: unknown, [x]: ReadonlyArray<ReferenceValue>, { dtype, shape }: TensorType): ReferenceValue =>
    filled(dtype, shape, (into) => {
      const { data } = x
      for (let i = 0; i < into.length; i++) into[i] = f(data[i])
    })

/** Exactly: every float of two bytes is one of eight. */
const widened = ({ shape, data }: ReferenceValue, dtype: Half): ReferenceValue => ({
  dtype: "f32",
  shape,
  data: Float64Array.from(floatsOf(dtype, data))
})

const binary =
  (f: (a: number, b: number) => number) =>
  (_: unknown, [a, b]: ReadonlyArray<ReferenceValue>, { dtype, shape }: TensorType): ReferenceValue =>
    filled(dtype, shape, (into) => {
      const left = stretch(a, shape).data
      const right = stretch(b, shape).data
      for (let i = 0; i < into.length; i++) into[i] = f(left[i], right[i])
    })

const product = binary((a, b) => a * b)
const productOfIntegers = binary(Math.imul)

export const elementwise: Elementwise = {
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  rsqrt: unary((x) => 1 / Math.sqrt(x)),
  reciprocal: unary((x) => 1 / x),
  tanh: unary(Math.tanh),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  abs: unary(Math.abs),
  not: unary((x) => 1 - x),
  // storing to an integer array drops the fraction
  cast: (params, inputs, output) =>
    isHalf(inputs[0].dtype)
      ? widened(inputs[0], inputs[0].dtype)
      : (params.dtype === "bool" ? unary((x) => (x === 0 ? 0 : 1)) : unary((x) => x))(params, inputs, output),
  stopGradient: unary((x) => x),

  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: (params, inputs, output) => (output.dtype === "i32" ? productOfIntegers : product)(params, inputs, output),
  div: binary((a, b) => a / b),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  less: binary((a, b) => (a < b ? 1 : 0)),
  equal: binary((a, b) => (a === b ? 1 : 0)),
  and: binary((a, b) => a & b),
  or: binary((a, b) => a | b),
  select: (_, [condition, a, b], { dtype, shape }) =>
    filled(dtype, shape, (into) => {
      const [test, left, right] = [condition, a, b].map((x) => stretch(x, shape).data)
      for (let i = 0; i < into.length; i++) into[i] = test[i] === 1 ? left[i] : right[i]
    })
}

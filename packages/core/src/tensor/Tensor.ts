import type { DType, Shape, TensorType } from "./HostTensor.ts"
import { HostTensor, isHalf } from "./HostTensor.ts"
import { infer } from "./infer.ts"
import type { Op, PrimitiveParams } from "./Primitive.ts"
import { normalizeAxes, require, sameShape, ShapeProblem } from "./Shape.ts"
import { ShapeError } from "./ShapeError.ts"

/** One application of a primitive. `AnyNode` narrows its params by `op`. */
export interface Node<O extends Op> {
  readonly op: O
  readonly params: PrimitiveParams[O]
  readonly inputs: ReadonlyArray<Tensor>
  readonly types: ReadonlyArray<TensorType>
}
export type AnyNode = { [O in Op]: Node<O> }[Op]

/** A number stands for a scalar constant of the other operand's dtype. */
export type Operand = Tensor | number

/** Axes of a reduction: one, several, or all of them when left out. Negative ones count from the back. */
export type Axes = number | ReadonlyArray<number>

/**
 * A lazy value: output `index` of `node`. Operators build the graph and check shapes at once; nothing is computed
 * before a backend runs it.
 */
export class Tensor {
  readonly node: AnyNode
  readonly index: number

  constructor(node: AnyNode, index: number) {
    this.node = node
    this.index = index
  }

  get type(): TensorType {
    return this.node.types[this.index]
  }
  get dtype(): DType {
    return this.type.dtype
  }
  get shape(): Shape {
    return this.type.shape
  }
  get rank(): number {
    return this.shape.length
  }

  neg(): Tensor {
    return only("neg", {}, this)
  }
  exp(): Tensor {
    return only("exp", {}, this)
  }
  log(): Tensor {
    return only("log", {}, this)
  }
  sqrt(): Tensor {
    return only("sqrt", {}, this)
  }
  rsqrt(): Tensor {
    return only("rsqrt", {}, this)
  }
  reciprocal(): Tensor {
    return only("reciprocal", {}, this)
  }
  tanh(): Tensor {
    return only("tanh", {}, this)
  }
  sigmoid(): Tensor {
    return only("sigmoid", {}, this)
  }
  sin(): Tensor {
    return only("sin", {}, this)
  }
  cos(): Tensor {
    return only("cos", {}, this)
  }
  abs(): Tensor {
    return only("abs", {}, this)
  }
  square(): Tensor {
    return this.mul(this)
  }
  not(): Tensor {
    return only("not", {}, this)
  }
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : only("cast", { dtype }, this)
  }
  /** The value passes, the gradient does not. */
  stopGradient(): Tensor {
    return only("stopGradient", {}, this)
  }

  add(other: Operand): Tensor {
    return only("add", {}, this, lift(other, this.dtype))
  }
  sub(other: Operand): Tensor {
    return only("sub", {}, this, lift(other, this.dtype))
  }
  mul(other: Operand): Tensor {
    return only("mul", {}, this, lift(other, this.dtype))
  }
  div(other: Operand): Tensor {
    return only("div", {}, this, lift(other, this.dtype))
  }
  maximum(other: Operand): Tensor {
    return only("maximum", {}, this, lift(other, this.dtype))
  }
  minimum(other: Operand): Tensor {
    return only("minimum", {}, this, lift(other, this.dtype))
  }
  less(other: Operand): Tensor {
    return only("less", {}, this, lift(other, this.dtype))
  }
  greater(other: Operand): Tensor {
    return only("less", {}, lift(other, this.dtype), this)
  }
  equal(other: Operand): Tensor {
    return only("equal", {}, this, lift(other, this.dtype))
  }
  and(other: Tensor): Tensor {
    return only("and", {}, this, other)
  }
  or(other: Tensor): Tensor {
    return only("or", {}, this, other)
  }
  /** `condition.select(a, b)`: a where the condition holds, else b; at least one of them a tensor */
  select(a: Operand, b: Operand): Tensor {
    const dtype = typeof a !== "number" ? a.dtype : typeof b !== "number" ? b.dtype : "f32"
    return only("select", {}, this, lift(a, dtype), lift(b, dtype))
  }

  /** One extent may be -1: whatever is left. */
  reshape(shape: Shape): Tensor {
    const known = shape.reduce((product, extent) => (extent === -1 ? product : product * extent), 1)
    const size = this.shape.reduce((product, extent) => product * extent, 1)
    const full = shape.map((extent) => (extent === -1 ? size / known : extent))
    return sameShape(full, this.shape) ? this : only("reshape", { shape: full }, this)
  }
  /** Without a permutation: the last two axes swap. */
  transpose(permutation?: ReadonlyArray<number>): Tensor {
    const { rank } = this
    const swapped = () => Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i))
    return only("transpose", { permutation: permutation ?? swapped() }, this)
  }
  broadcastTo(shape: Shape): Tensor {
    return sameShape(shape, this.shape) ? this : only("broadcastTo", { shape }, this)
  }
  /** A new axis of extent 1. */
  expandDims(axis: number): Tensor {
    const at = axis < 0 ? axis + this.rank + 1 : axis
    return this.reshape([...this.shape.slice(0, at), 1, ...this.shape.slice(at)])
  }
  slice(starts: ReadonlyArray<number>, ends: ReadonlyArray<number>): Tensor {
    return only("slice", { starts, ends }, this)
  }
  /** Elements `start` to `end` of one axis, all of the others. */
  sliceAxis(axis: number, start: number, end: number): Tensor {
    const at = axis < 0 ? axis + this.rank : axis
    return this.slice(
      this.shape.map((_, i) => (i === at ? start : 0)),
      this.shape.map((extent, i) => (i === at ? end : extent))
    )
  }
  /** Zeros before and after, per axis. */
  pad(low: ReadonlyArray<number>, high: ReadonlyArray<number>): Tensor {
    return only("pad", { low, high }, this)
  }

  sum(axes?: Axes, keepDims = false): Tensor {
    return only("sum", { axes: this.#axes(axes, "sum"), keepDims }, this)
  }
  max(axes?: Axes, keepDims = false): Tensor {
    return only("max", { axes: this.#axes(axes, "max"), keepDims }, this)
  }
  mean(axes?: Axes, keepDims = false): Tensor {
    const total = this.sum(axes, keepDims)
    const count = this.#axes(axes, "mean").reduce((product, axis) => product * this.shape[axis], 1)
    return total.div(count)
  }
  argmax(): Tensor {
    return only("argmax", {}, this)
  }
  cumsum(reverse = false): Tensor {
    return only("cumsum", { reverse }, this)
  }
  topK(k: number): Tensor {
    return only("topK", { k }, this)
  }

  /** Last two axes multiply, those before them broadcast; a flag says that an operand is stored transposed. */
  matmul(other: Tensor, { transposeA = false, transposeB = false } = {}): Tensor {
    return only("matmul", { transposeA, transposeB }, this, other)
  }

  /** Rows of this table by id. */
  gather(ids: Tensor): Tensor {
    return only("gather", {}, this, ids)
  }
  /** This tensor's slices added up into `rows` rows by id. */
  scatterAdd(ids: Tensor, rows: number): Tensor {
    return only("scatterAdd", { rows }, ids, this)
  }
  pick(ids: Tensor): Tensor {
    return only("pick", {}, this, ids)
  }
  updateAt(axis: number, row: Tensor, index: Tensor): Tensor {
    return only("updateAt", { axis }, this, row, index)
  }

  softmax(): Tensor {
    return only("softmax", {}, this)
  }
  logSoftmax(): Tensor {
    return only("logSoftmax", {}, this)
  }
  rmsNorm(weight: Tensor, eps: number): Tensor {
    return only("rmsNorm", { eps }, this, weight)
  }
  rotary(cos: Tensor, sin: Tensor): Tensor {
    return only("rotary", {}, this, cos, sin)
  }
  /** this * sigmoid(this) * up */
  swiglu(up: Tensor): Tensor {
    return only("swiglu", {}, this, up)
  }

  /** The value passes. A gradient that recomputes keeps it, and makes again what lies between two of these. */
  keep(): Tensor {
    return only("keep", {}, this)
  }

  #axes(axes: Axes | undefined, op: string): ReadonlyArray<number> {
    try {
      return axes === undefined
        ? this.shape.map((_, i) => i)
        : normalizeAxes(typeof axes === "number" ? [axes] : axes, this.rank)
    } catch (error) {
      throw named(error, op, [this.type])
    }
  }
}

/** Applies a primitive: the types of its outputs are inferred, or a ShapeError says why there are none. */
export const apply = <O extends Op>(
  op: O,
  params: PrimitiveParams[O],
  inputs: ReadonlyArray<Tensor>
): ReadonlyArray<Tensor> => {
  const types = inferred(op, params, inputs)
  // The pairing of op and params holds by this function's signature; TypeScript cannot distribute over O.
  const node = { op, params, inputs, types } as unknown as AnyNode
  return types.map((_, index) => new Tensor(node, index))
}

/** `apply` for the primitives with one output. */
export const only = <O extends Op>(op: O, params: PrimitiveParams[O], ...inputs: ReadonlyArray<Tensor>): Tensor =>
  apply(op, params, inputs)[0]

const inferred = <O extends Op>(op: O, params: PrimitiveParams[O], inputs: ReadonlyArray<Tensor>) => {
  const types = inputs.map((tensor) => tensor.type)
  try {
    const kept = types.find(({ dtype }) => isHalf(dtype))
    require(kept === undefined || takesHalves.has(op), () =>
      `does not compute with ${kept?.dtype}; widen it first, cast("f32")`)
    return infer[op](params, types)
  } catch (error) {
    throw named(error, op, types)
  }
}

/** What may be done with values that are only kept. */
const takesHalves: ReadonlySet<Op> = new Set<Op>(["cast", "gather", "loop", "stopGradient", "keep"])

const named = (error: unknown, op: string, types: ReadonlyArray<TensorType>): unknown =>
  error instanceof ShapeProblem ? new ShapeError(op, types, error.message) : error

const lift = (value: Operand, dtype: DType): Tensor =>
  typeof value === "number" ? only("constant", { value: HostTensor.make(dtype, [], [value]) }) : value

import type { Graph } from "./Graph.ts"
import type { DType, HostTensor, Shape } from "./HostTensor.ts"

type None = Readonly<Record<never, never>>

/**
 * Every primitive with its static parameters. Tensors come in through a node's inputs, everything else is here.
 * Shapes stand in comments; `...` are batch axes that broadcast as in NumPy.
 */
export interface PrimitiveParams {
  // leaves
  input: { readonly name: string; readonly type: { readonly dtype: DType; readonly shape: Shape } }
  constant: { readonly value: HostTensor }
  /** i32 of the given shape, counting 0, 1, 2, … along `axis` */
  iota: { readonly shape: Shape; readonly axis: number }

  // elementwise: (x)
  neg: None
  exp: None
  log: None
  sqrt: None
  rsqrt: None
  reciprocal: None
  tanh: None
  sigmoid: None
  sin: None
  cos: None
  abs: None
  not: None
  cast: { readonly dtype: DType }
  /** The value passes, the gradient does not. */
  stopGradient: None

  // elementwise: (a, b), broadcasting
  add: None
  sub: None
  mul: None
  div: None
  maximum: None
  minimum: None
  less: None
  equal: None
  and: None
  or: None
  /** (condition bool, a, b) -> a where the condition holds, else b; broadcasting */
  select: None

  // layout
  reshape: { readonly shape: Shape }
  transpose: { readonly permutation: ReadonlyArray<number> }
  broadcastTo: { readonly shape: Shape }
  slice: { readonly starts: ReadonlyArray<number>; readonly ends: ReadonlyArray<number> }
  /** zeros before and after, per axis */
  pad: { readonly low: ReadonlyArray<number>; readonly high: ReadonlyArray<number> }
  concat: { readonly axis: number }

  // reductions and scans; axes sorted, from the front
  sum: { readonly axes: ReadonlyArray<number>; readonly keepDims: boolean }
  max: { readonly axes: ReadonlyArray<number>; readonly keepDims: boolean }
  /** last axis: (x [..., n]) -> i32 [...], the first of equal maxima */
  argmax: None
  /** inclusive, along the last axis, from the end if `reverse` */
  cumsum: { readonly reverse: boolean }
  /** the k largest of the last axis, descending: [..., n] -> [..., k] */
  topK: { readonly k: number }

  // products
  /** ([..., m, k], [..., k, n]) -> [..., m, n]; a flag says that the operand is stored with its last two axes swapped */
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean }

  // indexing; indices are i32 and in range
  /** (table [n, ...rest], ids [...]) -> [...ids, ...rest] */
  gather: None
  /** (ids [...], updates [...ids, ...rest]) -> [rows, ...rest]: updates of equal ids add up */
  scatterAdd: { readonly rows: number }
  /** (x [..., n], ids [...]) -> [...]: one element of the last axis each */
  pick: None
  /** (x, row: x's shape with extent 1 at axis, index i32 []) -> x with that row replaced */
  updateAt: { readonly axis: number }

  // composites: a gradient of their own, and a decomposition (decompose.ts) for backends without a kernel
  /** last axis */
  softmax: None
  /** last axis */
  logSoftmax: None
  /** (x [..., d], weight [d]) -> x / sqrt(mean(x²) + eps) * weight */
  rmsNorm: { readonly eps: number }
  /** (x [..., 2h], cos [..., h], sin [..., h]), halves rotated as Llama does: (a, b) -> (a cos - b sin, b cos + a sin) */
  rotary: None
  /** (gate, up) -> gate * sigmoid(gate) * up */
  swiglu: None
  /** The value passes. Where a gradient recomputes, it is kept, and what lies between two of these is made again. */
  keep: None
  /**
   * (hidden [n, d], vocabulary [v, d], ids i32 [n]) -> f32 [n], log softmax(hidden · vocabularyᵀ) at ids; the
   * vocabulary is walked `chunk` rows at a time. For the gradient the logits are kept, or with `remake` made a second time,
   * so that all [n, v] of them need not exist.
   */
  selectedLogProb: { readonly chunk: number; readonly remake: boolean }
  /**
   * One softmax over all keys of one or more sets: (q [D,H,B,L,dh], then k, v, mask of each set) -> [D,H,B,L,dh].
   * A set belongs to each branch, k and v [D,Hk,B,C,dh], or to the trunk that all branches of a document share,
   * [D,Hk,C,dh]. Masks are bool, true where a key is visible, rank 5, broadcasting to [D,H,B,L,C].
   * Query head h reads key head floor(h / (H / Hk)). Every query must see at least one key.
   */
  attention: { readonly scale: number }

  // control
  /**
   * Runs `body` for step = 0, 1, … while it says so, `maxSteps` times at most.
   * inputs: (…carried, …invariants); body: (step i32 [], …carried, …invariants) -> (continue bool [], …carried).
   * Outputs: the carried values after the last step.
   */
  loop: { readonly body: Graph; readonly carried: number; readonly maxSteps: number }
}

export type Op = keyof PrimitiveParams

/** Primitives that have a decomposition, so that a backend may leave them out. */
export const composites = [
  "softmax",
  "logSoftmax",
  "rmsNorm",
  "rotary",
  "swiglu",
  "keep",
  "selectedLogProb",
  "attention"
] as const
export type Composite = (typeof composites)[number]
export const isComposite = (op: Op): op is Composite => (composites as ReadonlyArray<Op>).includes(op) // widened to ask

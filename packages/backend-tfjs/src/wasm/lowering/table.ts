import type { AnyNode, Node, Op } from "@foretoken/core"
import { zeros } from "../../tensors.ts"
import { control } from "./control.ts"
import { elementwise } from "./elementwise.ts"
import { indexing } from "./indexing.ts"
import { layout } from "./layout.ts"
import { linear } from "./linear.ts"
import type { Kernel, Lowering, Target } from "./Lowering.ts"
import { reduce } from "./reduce.ts"

/** Values that a plan holds ready; no kernel computes them. */
type Leaf = "input" | "constant" | "iota" | "stopGradient"
/** Composites without a kernel: core decomposes them. */
type Decomposed = "logSoftmax" | "rmsNorm" | "rotary" | "swiglu" | "keep" | "selectedLogProb" | "attention"

const table: { readonly [O in Exclude<Op, Leaf | Decomposed>]: Lowering<O> } = {
  ...elementwise,
  ...layout,
  ...reduce,
  ...linear,
  ...indexing,
  ...control
}

/** The primitives that run as they are; `expand` decomposes the others. */
export const native: ReadonlySet<Op> = new Set<Op>(Object.keys(table) as ReadonlyArray<Op>) // the table's keys are ops

/** These fill an output that has elements from inputs that have none; all of them with zeros. */
const zeroFromNothing: ReadonlySet<Op> = new Set<Op>(["sum", "matmul", "pad", "scatterAdd"])

/** The kernel of a node. Tensors without elements, which many of tfjs's kernels stumble over, never reach one. */
export const lower = (node: AnyNode, target: Target): Kernel => {
  const empty = (shape: ReadonlyArray<number>) => shape.includes(0)
  const nothing = node.types.every(({ shape }) => empty(shape))
  const fromNothing = zeroFromNothing.has(node.op) && node.inputs.some(({ shape }) => empty(shape))
  if (nothing || fromNothing) return () => node.types.map(zeros)
  // AnyNode pairs op with params; the table is indexed by that op, which TypeScript cannot follow.
  const lowering = (table as unknown as Record<string, ((node: Node<Op>, target: Target) => Kernel) | undefined>)[
    node.op
  ]
  if (lowering === undefined) throw new Error(`no lowering for ${node.op}`)
  return lowering(node, target)
}

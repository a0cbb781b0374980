import type { Node, Op } from "@foretoken/core"
import type { Lower, Lowering } from "../FunctionBuilder.ts"
import { control } from "./control.ts"
import { elementwise } from "./elementwise.ts"
import { indexing } from "./indexing.ts"
import { layout } from "./layout.ts"
import { linear } from "./linear.ts"
import { reduce } from "./reduce.ts"

/** Composites that are left to core's decomposition. */
type Decomposed = "logSoftmax" | "selectedLogProb" | "rmsNorm" | "rotary" | "keep" | "attention"

const table: { readonly [O in Exclude<Op, "input" | Decomposed>]: Lowering<O> } = {
  ...elementwise,
  ...layout,
  ...reduce,
  ...linear,
  ...indexing,
  ...control,
  constant: ({ params: { value } }, _, f) => [f.constant(value)],
  stopGradient: (_, inputs) => inputs
}

/** The primitives that run as they are; `expand` decomposes the others. */
export const native: ReadonlySet<Op> = new Set<Op>(Object.keys(table) as ReadonlyArray<Op>) // the table's keys are ops

export const lower: Lower = (node, inputs, into) => {
  // AnyNode pairs op with params; the table is indexed by that op, which TypeScript cannot follow.
  const lowering = (table as unknown as Record<string, Lowering<Op> | undefined>)[node.op]
  if (lowering === undefined) throw new Error(`no lowering for ${node.op}`)
  return lowering(node as Node<Op>, inputs, into)
}

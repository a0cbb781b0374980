import { rebuild } from "../tensor/Graph.ts"
import { sizeOf } from "../tensor/HostTensor.ts"
import type { AnyNode } from "../tensor/Tensor.ts"
import { Tensor } from "../tensor/Tensor.ts"

/**
 * What the backward pass reads of the forward pass: "all" of it as it was computed, or "layers", where only what stands
 * between `keep` nodes is remembered and the rest is computed again from there (activation checkpointing, Chen et al. 2016).
 */
export type Remember = "all" | "layers"

/** Forward values as a gradient reads them. */
export interface Past {
  /** What stands for a forward tensor at the point that the backward pass has come to. */
  readonly of: (tensor: Tensor) => Tensor
  /** The backward pass has come to `node`, the last one that reads what it gives being done. */
  readonly reach: (node: AnyNode, gradient: Tensor) => void
}

export const remembered: Past = { of: (tensor) => tensor, reach: () => undefined }

/**
 * Stages lie between `keep` nodes: a node belongs to the stage of the last one before it. Once the gradient has come to
 * the end of a stage, the whole of it is written down again from the values that were kept. What comes before the first
 * `keep` and after the last is not made again: the one is small, the other is needed at once.
 */
export const madeAgain = (nodes: ReadonlyArray<AnyNode>): Past => {
  const stages = new Map<AnyNode, number>()
  for (const node of nodes) {
    const before = node.inputs.reduce((latest, input) => Math.max(latest, stages.get(input.node) ?? 0), 0)
    stages.set(node, node.op === "keep" ? before + 1 : before)
  }
  const ofStage = Map.groupBy(nodes, (node) => stages.get(node))
  const again = new Map<AnyNode, ReadonlyArray<Tensor>>()
  const of = (tensor: Tensor): Tensor => again.get(tensor.node)?.[tensor.index] ?? tensor
  const begun = new Set([0])
  return {
    of,
    reach: (node, gradient) => {
      const stage = (stages.get(node) ?? 0) - 1
      if (node.op !== "keep" || begun.has(stage)) return
      begun.add(stage)
      for (const own of ofStage.get(stage) ?? []) {
        const kept = own.op === "keep" && [behind(new Tensor(own, 0), gradient)]
        again.set(own, kept || rebuild(own, own.inputs.map(of)))
      }
    }
  }
}

/**
 * x, bit for bit, but not before `other` is there. Without that it would be the same expression as the first time, which
 * every compiler computes once and keeps. What is taken off is a zero that none of them knows to be one: y < y.
 */
const behind = (x: Tensor, other: Tensor): Tensor => {
  if (sizeOf(other.shape) === 0) return x
  const first = other.reshape([-1]).sliceAxis(0, 0, 1).reshape([])
  return x.sub(first.less(first).cast("f32"))
}

import { rebuild } from "../tensor/Graph.ts"
import { isHalf, sizeOf } from "../tensor/HostTensor.ts"
import { iota } from "../tensor/operations.ts"
import type { AnyNode } from "../tensor/Tensor.ts"
import { Tensor } from "../tensor/Tensor.ts"

/**
 * What the backward pass reads of the forward pass: "all" of it as it was computed, or "layers", where only what stands
 * between `keep` nodes is remembered and the rest is computed again from there (activation checkpointing, Chen et al. 2016).
 * Either way floats of two bytes are widened again where they are read, so that the wide ones never all live at one time.
 */
export type Remember = "all" | "layers"

/** Forward values as a gradient reads them. */
export interface Past {
  /** What stands for a forward tensor at the point that the backward pass has come to. */
  readonly of: (tensor: Tensor) => Tensor
  /** The backward pass has come to `node`, the last one that reads what it gives being done. */
  readonly reach: (node: AnyNode, gradient: Tensor) => void
}

export const remembered = (loss: Tensor): Past => {
  const widened = new Widened(loss)
  return { of: (tensor) => widened.of(tensor) ?? tensor, reach: (_, gradient) => widened.from(gradient) }
}

/**
 * Stages lie between `keep` nodes: a node belongs to the stage of the last one before it. Once the gradient has come to
 * the end of a stage, the whole of it is written down again from the values that were kept. What comes before the first
 * `keep` and after the last is not made again: the one is small, the other is needed at once.
 */
export const madeAgain = (loss: Tensor, nodes: ReadonlyArray<AnyNode>): Past => {
  const stages = new Map<AnyNode, number>()
  for (const node of nodes) {
    const before = node.inputs.reduce((latest, input) => Math.max(latest, stages.get(input.node) ?? 0), 0)
    stages.set(node, node.op === "keep" ? before + 1 : before)
  }
  const ofStage = Map.groupBy(nodes, (node) => stages.get(node))
  const again = new Map<AnyNode, ReadonlyArray<Tensor>>()
  const widened = new Widened(loss)
  const of = (tensor: Tensor): Tensor => widened.of(tensor) ?? again.get(tensor.node)?.[tensor.index] ?? tensor
  const begun = new Set([0])
  return {
    of,
    reach: (node, gradient) => {
      const stage = (stages.get(node) ?? 0) - 1
      if (node.op !== "keep" || begun.has(stage)) return
      begun.add(stage)
      widened.from(gradient)
      for (const own of ofStage.get(stage) ?? []) {
        const kept = own.op === "keep" && [behind(new Tensor(own, 0), gradient)]
        again.set(own, kept || rebuild(own, own.inputs.map(of)))
      }
    }
  }
}

/** Floats of two bytes, widened a second time: once for everything that reads them from one point on to the next. */
class Widened {
  readonly #again = new Map<AnyNode, Tensor>()
  readonly #loss: Tensor
  #gradient: Tensor

  constructor(loss: Tensor) {
    this.#loss = loss
    this.#gradient = loss
  }

  /** From here on they are widened anew, not before the loss and `gradient` are there: gradients next to a loss may be constants. */
  from(gradient: Tensor): void {
    this.#again.clear()
    this.#gradient = gradient
  }

  /** Nothing for a tensor that is no such float, widened. */
  of({ node }: Tensor): Tensor | undefined {
    if (node.op !== "cast") return undefined
    const [narrow] = node.inputs
    if (!isHalf(narrow.dtype) || narrow.rank === 0) return undefined
    const known = this.#again.get(node)
    if (known !== undefined) return known
    const there = sizeOf(this.#gradient.shape) === 0 ? this.#loss : this.#loss.add(firstOf(this.#gradient))
    // Rows are picked by numbers that nobody knows before: every row, in its order.
    const rows = iota([narrow.shape[0]], 0).add(zeroOf(there).cast("i32"))
    const wide = narrow.gather(rows).cast("f32")
    this.#again.set(node, wide)
    return wide
  }
}

/**
 * x, bit for bit, but not before `other` is there. Without that it would be the same expression as the first time, which
 * every compiler computes once and keeps.
 */
const behind = (x: Tensor, other: Tensor): Tensor => (sizeOf(other.shape) === 0 ? x : x.sub(zeroOf(other).cast("f32")))

/** A zero that no compiler knows to be one, as a bool: y < y. */
const zeroOf = (other: Tensor): Tensor => {
  const first = firstOf(other)
  return first.less(first)
}

const firstOf = (x: Tensor): Tensor => (x.rank === 0 ? x : x.reshape([-1]).sliceAxis(0, 0, 1).reshape([]))

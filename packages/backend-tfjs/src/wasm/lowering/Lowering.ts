import type { Graph, HostTensor, Node, Op } from "@foretoken/core"
import type { Tensor } from "@tensorflow/tfjs-core"

/**
 * Computes a node's outputs from its inputs. It runs inside `tf.tidy`, so that what it makes on the way is freed, and
 * never returns one of its inputs.
 */
export type Kernel = (inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>

/** What a lowering may ask of the program that it becomes part of. */
export interface Target {
  /** A tensor that lives as long as the program. */
  readonly keep: (value: HostTensor) => Tensor
  /** A graph within the graph, such as the body of a loop. */
  readonly body: (graph: Graph) => Kernel
}

/** Done once, when a program is compiled: everything that follows from shapes and parameters is settled here. */
export type Lowering<O extends Op> = (node: Node<O>, target: Target) => Kernel

/** A kernel with one output. */
export const one =
  (f: (...inputs: ReadonlyArray<Tensor>) => Tensor): Kernel =>
  (inputs) => [f(...inputs)]

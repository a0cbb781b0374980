import { scalar } from "../tensor/decompose.ts"
import { reachable } from "../tensor/Graph.ts"
import type { DType } from "../tensor/HostTensor.ts"
import type { Op } from "../tensor/Primitive.ts"
import type { AnyNode } from "../tensor/Tensor.ts"
import { Tensor } from "../tensor/Tensor.ts"
import type { Tree } from "../tensor/Tree.ts"
import { flatten, restore } from "../tensor/Tree.ts"
import { GradientError } from "./GradientError.ts"
import type { Remember } from "./Past.ts"
import { madeAgain, remembered } from "./Past.ts"
import type { Rule } from "./Rule.ts"
import { rules, stop } from "./rules.ts"

/**
 * The gradient of a loss (f32 []) in each of `wrt` (f32), each of its tensor's shape; zeros where the loss does not
 * depend on it. The result is more graph: it can be differentiated again. Throws GradientError where a primitive on the
 * way has no gradient (loop, topK). Where only "layers" are remembered it is the same, for less memory and more time.
 */
export const gradients = (
  loss: Tensor,
  wrt: ReadonlyArray<Tensor>,
  remember: Remember = "all"
): ReadonlyArray<Tensor> => {
  if (!isFloat(loss) || loss.rank !== 0) throw new GradientError("gradients", [loss.type], "wants a scalar loss")
  const unfit = wrt.find((tensor) => !isFloat(tensor))
  if (unfit !== undefined) throw new GradientError("gradients", [unfit.type], "only floats have gradients")

  const nodes = reachable([loss])
  const onTheWay = dependents(nodes, wrt)
  const past = remember === "all" ? remembered(loss) : madeAgain(loss, nodes)
  const sums = new Sums()
  sums.add(loss, scalar(1))
  for (const node of nodes.toReversed()) {
    if (!onTheWay.has(node) || !sums.reach(node)) continue
    const outputs = node.types.map((_, index) => new Tensor(node, index))
    const given = outputs.map((output) => sums.of(output))
    past.reach(node, given[0])
    pull(node, node.inputs.map(past.of), outputs.map(past.of), given).forEach((gradient, i) => {
      const input = node.inputs[i]
      if (gradient !== undefined && isFloat(input)) sums.add(input, gradient)
    })
  }
  return wrt.map((tensor) => sums.of(tensor))
}

/** Nodes through which a small change of `wrt` reaches what comes after. */
const dependents = (nodes: ReadonlyArray<AnyNode>, wrt: ReadonlyArray<Tensor>): ReadonlySet<AnyNode> => {
  const sources = new Set(wrt.map((tensor) => tensor.node))
  const found = new Set<AnyNode>()
  for (const node of nodes) {
    if (rules[node.op] === stop || !node.types.some(isFloat)) continue
    const moved = (input: Tensor) => isFloat(input) && (sources.has(input.node) || found.has(input.node))
    if (node.inputs.some(moved)) found.add(node)
  }
  return found
}

const isFloat = ({ dtype }: { readonly dtype: DType }): boolean => dtype === "f32"

/** The gradients that have come together at each tensor, added up. */
class Sums {
  readonly #byNode = new Map<AnyNode, Array<Tensor | undefined>>()

  add({ node, index }: Tensor, gradient: Tensor): void {
    const at = this.#byNode.get(node) ?? node.types.map(() => undefined)
    at[index] = at[index]?.add(gradient) ?? gradient
    this.#byNode.set(node, at)
  }

  reach(node: AnyNode): boolean {
    return this.#byNode.has(node)
  }

  of({ node, index, shape }: Tensor): Tensor {
    return this.#byNode.get(node)?.[index] ?? scalar(0).broadcastTo(shape)
  }
}

const pull = (
  node: AnyNode,
  inputs: ReadonlyArray<Tensor>,
  outputs: ReadonlyArray<Tensor>,
  given: ReadonlyArray<Tensor>
) => {
  // AnyNode pairs op with params; the table is indexed by that op, which TypeScript cannot follow.
  const rule = rules[node.op] as Rule<Op> | { readonly refused: string }
  if (typeof rule === "function") return rule(node.params, inputs, outputs, given)
  const types = node.inputs.map((tensor) => tensor.type)
  throw new GradientError(node.op, types, rule.refused)
}

interface ValueAndGradient<G> {
  /** f32 [] */
  readonly loss: Tensor
  readonly gradients: G
}

/**
 * The function that gives, beside the loss of `f`, its gradient in `inputs[wrt]`, in the shape of that tree, and what
 * else `f` gave as `aux`. Keys are those of `inputs`: `valueAndGrad(f, "params")`.
 */
export function valueAndGrad<I, K extends keyof I, A>(
  f: (inputs: I) => { readonly loss: Tensor; readonly aux: A },
  wrt: K
): (inputs: I) => ValueAndGradient<I[K]> & { readonly aux: A }
export function valueAndGrad<I, K extends keyof I>(
  f: (inputs: I) => Tensor,
  wrt: K
): (inputs: I) => ValueAndGradient<I[K]>
export function valueAndGrad<I, K extends keyof I>(
  f: (inputs: I) => Tensor | { readonly loss: Tensor; readonly aux: unknown },
  wrt: K
) {
  return (inputs: I): ValueAndGradient<Tree<Tensor>> => {
    const given = f(inputs)
    const { loss, ...rest } = given instanceof Tensor ? { loss: given } : given
    // Interfaces do not match Tree's index signature, so that inputs[wrt] is a tree of tensors is said here.
    const tree = inputs[wrt] as Tree<Tensor>
    return { loss, gradients: restore(tree, gradients(loss, flatten(tree))), ...rest }
  }
}

import { record } from "./Graph.ts"
import { HostTensor } from "./HostTensor.ts"
import { constant } from "./operations.ts"
import type { Tensor } from "./Tensor.ts"
import { apply } from "./Tensor.ts"
import type { Tree, TypeTree } from "./Tree.ts"
import { flatten, restore } from "./Tree.ts"

/** What a step of a loop gives: whether there is another one (bool []), and what it carries there. */
export interface LoopStep<C> {
  readonly continues: Tensor
  readonly carried: C
}

/**
 * Runs `body` for step = 0, 1, … (i32 []) for as long as it continues, `maxSteps` times at most, and gives what the last
 * step carried. `carried` and `fixed` are trees of tensors; the body sees other tensors only through them, constants it
 * may make itself.
 */
export const loop = <C, F>(
  { carried, fixed, maxSteps }: { readonly carried: C; readonly fixed: F; readonly maxSteps: number },
  body: (step: Tensor, carried: C, fixed: F) => LoopStep<C>
): C => {
  const step = constant(HostTensor.i32([], [0]))
  // Interfaces do not match Tree's index signature, so that C and F are trees is said here and not in the signature.
  const start = { step, carried, fixed } as unknown as Tree<Tensor>
  const carriedTree = carried as Tree<Tensor>
  const tensors = flatten(start)
  const types: TypeTree = restore(
    start,
    tensors.map((tensor) => tensor.type)
  )
  const { graph } = record((inputs) => {
    // `inputs` is `start` with other tensors at its leaves.
    const at = inputs as unknown as { readonly step: Tensor; readonly carried: C; readonly fixed: F }
    const next = body(at.step, at.carried, at.fixed)
    return [next.continues, next.carried as Tree<Tensor>]
  }, types)
  const params = { body: graph, carried: flatten(carriedTree).length, maxSteps }
  return restore(carriedTree, apply("loop", params, tensors.slice(1))) as C // the same tree, other tensors
}

import type * as fc from "fast-check"
import type { Graph } from "../../tensor/Graph.ts"
import { record } from "../../tensor/Graph.ts"
import type { HostTensor } from "../../tensor/HostTensor.ts"
import type { Op, PrimitiveParams } from "../../tensor/Primitive.ts"
import type { Tensor } from "../../tensor/Tensor.ts"
import { apply } from "../../tensor/Tensor.ts"
import { flatten } from "../../tensor/Tree.ts"
import { gradients } from "../../autodiff/grad.ts"

/** A well-typed application of a primitive, with values. */
export interface Case<O extends Op> {
  readonly params: PrimitiveParams[O]
  readonly inputs: ReadonlyArray<HostTensor>
}

export type CaseTable = { readonly [O in Op]: fc.Arbitrary<Case<O>> }

/** A function of tensors as a graph with an input per value. */
export const graphOf = (
  f: (inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>,
  values: ReadonlyArray<HostTensor>
): Graph =>
  record(
    (inputs) => f(flatten(inputs)),
    values.map(({ dtype, shape }) => ({ dtype, shape }))
  ).graph

/** The primitive alone. */
export const forward =
  (op: Op, params: PrimitiveParams[Op]) =>
  (inputs: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> =>
    op === "input" ? inputs : apply(op, params, inputs)

/**
 * The gradient of sum(w · y), y the first of what `f` gives, in every float among the inputs; w is the last input, of
 * y's shape.
 */
export const backward =
  (f: (inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>) =>
  (all: ReadonlyArray<Tensor>): ReadonlyArray<Tensor> => {
    const inputs = all.slice(0, -1)
    const loss = f(inputs)[0]
      .mul(all[all.length - 1])
      .sum()
    return gradients(
      loss,
      inputs.filter(({ dtype }) => dtype === "f32")
    )
  }

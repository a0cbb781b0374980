import type { Op, PrimitiveParams } from "../tensor/Primitive.ts"
import type { Tensor } from "../tensor/Tensor.ts"

/**
 * The gradient of a loss in each input of a node, given its gradient in each output; all inputs, outputs and gradients
 * are lazy tensors, so a rule only writes down more graph. `undefined`: that input has no gradient (an index, a mask).
 */
export type Rule<O extends Op> = (
  params: PrimitiveParams[O],
  inputs: ReadonlyArray<Tensor>,
  outputs: ReadonlyArray<Tensor>,
  gradients: ReadonlyArray<Tensor>
) => ReadonlyArray<Tensor | undefined>

/** A gradient summed back to the shape that its operand had before it was broadcast. */
export const unbroadcast = (gradient: Tensor, operand: Tensor): Tensor => {
  const added = gradient.rank - operand.rank
  const stretched = gradient.shape.flatMap((extent, axis) =>
    axis < added || (extent !== 1 && operand.shape[axis - added] === 1) ? [axis] : []
  )
  return stretched.length === 0 ? gradient : gradient.sum(stretched).reshape(operand.shape)
}

/** A reduced tensor with the reduced axes back, of extent 1, so that it broadcasts against what was reduced. */
export const restoreAxes = (y: Tensor, x: Tensor, axes: ReadonlyArray<number>): Tensor =>
  y.reshape(x.shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent)))

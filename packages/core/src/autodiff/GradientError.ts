import type { TensorType } from "../tensor/HostTensor.ts"
import { showType } from "../tensor/Shape.ts"
import { userLine } from "../tensor/ShapeError.ts"

/** A gradient was asked for that does not exist. Thrown while a graph is traced; names the op and the user's line. */
export class GradientError extends Error {
  readonly _tag = "GradientError"
  readonly op: string

  constructor(op: string, inputs: ReadonlyArray<TensorType>, problem: string) {
    super(`${op}(${inputs.map(showType).join(", ")}): ${problem}`)
    this.name = "GradientError"
    this.op = op
    this.message += ` (at ${userLine()})`
  }
}

import type { TensorType } from "../HostTensor.ts"
import type { Op, PrimitiveParams } from "../Primitive.ts"
import type { ReferenceValue } from "./ReferenceValue.ts"

/** Computes the one output of a primitive, whose type is known. */
export type Kernel<O extends Op> = (
  params: PrimitiveParams[O],
  inputs: ReadonlyArray<ReferenceValue>,
  output: TensorType
) => ReferenceValue

/** A table with one kernel for each of some primitives. */
export type Kernels<O extends Op> = { readonly [K in O]: Kernel<K> }

import { HostTensor } from "@foretoken/core"
import { attribute } from "../onnxProto.ts"
import { isEmpty } from "./Emitter.ts"
import type { Lower } from "./Lower.ts"

type Layout = "constant" | "iota" | "reshape" | "transpose" | "broadcastTo" | "slice" | "pad" | "concat"

export const layout: { readonly [O in Layout]: Lower<O> } = {
  constant: (emit, _, { params }) => emit.constant(params.value),
  /** One axis of numbers in the model, stretched at run time. */
  iota: (emit, _, { params: { shape, axis } }) => {
    const extent = shape[axis]
    const line = HostTensor.i32(
      shape.map((_, i) => (i === axis ? extent : 1)),
      Array.from({ length: extent }, (_, i) => i)
    )
    return emit.expand(emit.constant(line), shape)
  },
  reshape: (emit, [x], { params }) => emit.reshape(x, params.shape),
  transpose: (emit, [x], { params: { permutation } }) =>
    emit.node("Transpose", [x], { attributes: [attribute.ints("perm", permutation)] }),
  broadcastTo: (emit, [x], { params }) => emit.expand(x, params.shape),
  slice: (emit, [x], { params: { starts, ends }, inputs }) => {
    const cut = inputs[0].shape.flatMap((extent, axis) => (starts[axis] > 0 || ends[axis] < extent ? [axis] : []))
    const at = (values: ReadonlyArray<number>) => emit.int64s(cut.map((axis) => values[axis]))
    return cut.length === 0 ? x : emit.node("Slice", [x, at(starts), at(ends), emit.int64s(cut)])
  },
  pad: (emit, [x], { params: { low, high }, inputs, types }) => {
    if (isEmpty(inputs[0])) return emit.filled(types[0].dtype, types[0].shape, 0)
    if ([...low, ...high].every((n) => n === 0)) return x
    return emit.node("Pad", [x, emit.int64s([...low, ...high]), emit.constant(HostTensor.fill(types[0].dtype, [], 0))])
  },
  concat: (emit, names, { params: { axis }, inputs }) => {
    const parts = names.filter((_, i) => !isEmpty(inputs[i]))
    return parts.length === 1 ? parts[0] : emit.node("Concat", parts, { attributes: [attribute.int("axis", axis)] })
  }
}

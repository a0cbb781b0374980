import type { Op, Shape } from "@foretoken/core"
import { HostTensor } from "@foretoken/core"
import type { Lowering } from "../FunctionBuilder.ts"
import { attribute } from "../savedModel.ts"

const i32 = attribute.type("i32")

const reshape: Lowering<"reshape"> = ({ params: { shape }, types: [{ dtype }] }, [x], f) => [f.reshape(x, dtype, shape)]

const transpose: Lowering<"transpose"> = ({ params: { permutation }, types: [{ dtype }] }, [x], f) => [
  f.add("Transpose", [x, f.ints(permutation)], { T: attribute.type(dtype), Tperm: i32 }, "y")
]

const broadcastTo: Lowering<"broadcastTo"> = ({ params: { shape }, inputs: [from] }, [x], f) => [
  f.broadcastTo(x, from, shape)
]

/**
 * Axes that an operation leaves whole are one with the axis before them: TensorFlow pads and slices up to six or eight
 * axes.
 */
const mergeWhole = (
  shape: Shape,
  isWhole: (axis: number) => boolean
): ReadonlyArray<{ readonly axis: number; readonly inner: number }> => {
  const merged: Array<{ readonly axis: number; readonly inner: number }> = []
  let inner = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (axis > 0 && isWhole(axis)) inner *= shape[axis]
    else {
      merged.unshift({ axis, inner })
      inner = 1
    }
  }
  return merged
}

const slice: Lowering<"slice"> = ({ params: { starts, ends }, inputs: [{ shape }], types: [out] }, [x], f) => {
  const axes = mergeWhole(shape, (axis) => starts[axis] === 0 && ends[axis] === shape[axis])
  const flat = f.reshape(
    x,
    out.dtype,
    axes.map(({ axis, inner }) => shape[axis] * inner)
  )
  const begin = f.ints(axes.map(({ axis, inner }) => starts[axis] * inner))
  const size = f.ints(axes.map(({ axis, inner }) => (ends[axis] - starts[axis]) * inner))
  const cut = f.add("Slice", [flat, begin, size], { T: attribute.type(out.dtype), Index: i32 })
  return [f.reshape(cut, out.dtype, out.shape)]
}

const pad: Lowering<"pad"> = ({ params: { low, high }, inputs: [{ shape }], types: [out] }, [x], f) => {
  const axes = mergeWhole(shape, (axis) => low[axis] === 0 && high[axis] === 0)
  const flat = f.reshape(
    x,
    out.dtype,
    axes.map(({ axis, inner }) => shape[axis] * inner)
  )
  const amounts = axes.flatMap(({ axis, inner }) => [low[axis] * inner, high[axis] * inner])
  const attr = { T: attribute.type(out.dtype), Tpaddings: i32 }
  const padded = f.add("Pad", [flat, f.constant(HostTensor.i32([axes.length, 2], amounts))], attr)
  return [f.reshape(padded, out.dtype, out.shape)]
}

const concat: Lowering<"concat"> = ({ params: { axis }, types: [{ dtype }] }, inputs, f) => {
  const attr = { N: attribute.int(inputs.length), T: attribute.type(dtype), Tidx: i32 }
  return inputs.length === 1 ? inputs : [f.add("ConcatV2", [...inputs, f.scalar("i32", axis)], attr)]
}

export const layout = { reshape, transpose, broadcastTo, slice, pad, concat } satisfies {
  readonly [O in Op]?: Lowering<O>
}

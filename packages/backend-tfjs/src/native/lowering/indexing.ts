import type { DType, Op } from "@foretoken/core"
import { sizeOf } from "@foretoken/core"
import type { FunctionBuilder, Lowering, Output } from "../FunctionBuilder.ts"
import { attribute } from "../savedModel.ts"

const i32 = attribute.type("i32")

/** Counted as the program runs: a constant of this shape would travel in the model. */
const iota: Lowering<"iota"> = ({ params: { shape, axis } }, _, f) => {
  const range = f.add("Range", [f.scalar("i32", 0), f.scalar("i32", shape[axis]), f.scalar("i32", 1)], { Tidx: i32 })
  const along = { dtype: "i32", shape: shape.map((extent, i) => (i === axis ? extent : 1)) } as const
  return [f.broadcastTo(f.reshape(range, "i32", along.shape), along, shape)]
}

const gatherAlong = (f: FunctionBuilder, x: Output, ids: Output, axis: number, dtype: DType): Output => {
  const attr = { Tparams: attribute.type(dtype), Tindices: i32, Taxis: i32, batch_dims: attribute.int(axis) }
  return f.add("GatherV2", [x, ids, f.scalar("i32", axis)], attr)
}

const gather: Lowering<"gather"> = ({ types: [{ dtype }] }, [table, ids], f) => [gatherAlong(f, table, ids, 0, dtype)]

const pick: Lowering<"pick"> = ({ inputs: [{ shape }], types: [out] }, [x, ids], f) => {
  const count = sizeOf(shape.slice(0, -1))
  const rows = f.reshape(x, out.dtype, [count, shape[shape.length - 1]])
  const picked = gatherAlong(f, rows, f.reshape(ids, "i32", [count, 1]), 1, out.dtype)
  return [f.reshape(picked, out.dtype, out.shape)]
}

const scatterAdd: Lowering<"scatterAdd"> = ({ params: { rows } }, [ids, updates], f) => {
  const attr = { T: attribute.type("f32"), Tindices: i32, Tnumsegments: i32 }
  return [f.add("UnsortedSegmentSum", [updates, ids, f.scalar("i32", rows)], attr)]
}

/**
 * In place where nothing else reads `x`: a loop's cache is not copied for the row that is new. Of three axes, which the
 * kernel walks faster than more.
 */
const updateAt: Lowering<"updateAt"> = ({ params: { axis }, inputs: [{ shape }], types: [out] }, [x, row, at], f) => {
  const [outer, extent, inner] = [sizeOf(shape.slice(0, axis)), shape[axis], sizeOf(shape.slice(axis + 1))]
  const corner = (first: number, middle: Output, last: number) =>
    f.add("Pack", [f.scalar("i32", first), middle, f.scalar("i32", last)], { N: attribute.int(3), T: i32 })
  const begin = corner(0, at, 0)
  const end = corner(outer, f.add("AddV2", [at, f.scalar("i32", 1)], { T: i32 }, "z"), inner)
  const cube = f.reshape(x, out.dtype, [outer, extent, inner])
  const rows = f.reshape(row, out.dtype, [outer, 1, inner])
  const attr = { T: attribute.type(out.dtype), Index: i32 }
  const updated = f.add("TensorStridedSliceUpdate", [cube, begin, end, f.ints([1, 1, 1]), rows], attr)
  return [f.reshape(updated, out.dtype, shape)]
}

export const indexing = { iota, gather, pick, scatterAdd, updateAt } satisfies { readonly [O in Op]?: Lowering<O> }

import type { Shape } from "@foretoken/core"
import { sizeOf } from "@foretoken/core"
import { attribute, dataType } from "../onnxProto.ts"
import { isEmpty } from "./Emitter.ts"
import type { Lower } from "./Lower.ts"

export const indexing: { readonly [O in "gather" | "scatterAdd" | "pick" | "updateAt"]: Lower<O> } = {
  gather: (emit, [table, ids]) => emit.node("Gather", [table, ids], { attributes: [attribute.int("axis", 0)] }),

  /**
   * ScatterElements walks its updates in order on one thread. ScatterND would be faster, and wrong: its threads race
   * where ids are equal (1.30 on cpu, off by more than 1).
   */
  scatterAdd: (emit, [ids, updates], { inputs, types }) => {
    const { shape } = types[0]
    if (inputs.some(isEmpty)) return emit.filled("f32", shape, 0)
    const [rows, ...rest] = shape
    const count = sizeOf(inputs[0].shape)
    const width = sizeOf(rest)
    const into = emit.filled("f32", [rows, width], 0)
    const index = emit.expand(emit.reshape(ids, [count, 1]), [count, width])
    const attributes = [attribute.int("axis", 0), attribute.string("reduction", "add")]
    const sums = emit.node("ScatterElements", [into, index, emit.reshape(updates, [count, width])], { attributes })
    return emit.reshape(sums, shape)
  },

  pick: (emit, [x, ids], { types }) => {
    const { shape } = types[0]
    const column = emit.reshape(ids, [...shape, 1])
    return emit.reshape(emit.node("GatherElements", [x, column], { attributes: [attribute.int("axis", -1)] }), shape)
  },

  /**
   * The slices behind `axis` are written where they belong, in the shape that x has: what a loop carries is copied by a
   * reshape. No two writes meet, so ScatterND may be used.
   */
  updateAt: (emit, [x, row, index], { params: { axis }, types }) => {
    const { shape } = types[0]
    const before = shape.slice(0, axis)
    const wide = emit.node("Cast", [index], { attributes: [attribute.int("to", dataType.i64)] })
    const places = coordinates(before).map((place) => [...place, 0])
    const along = Array.from({ length: axis + 1 }, (_, i) => (i === axis ? 1 : 0))
    const at = emit.node("Add", [
      emit.int64Tensor([places.length, axis + 1], places.flat()),
      emit.node("Mul", [wide, emit.int64s(along)])
    ])
    return emit.node("ScatterND", [x, at, emit.reshape(row, [places.length, ...shape.slice(axis + 1)])])
  }
}

/** All indices into a shape, the last axis fastest. */
const coordinates = (shape: Shape): ReadonlyArray<ReadonlyArray<number>> =>
  shape.reduce<ReadonlyArray<ReadonlyArray<number>>>(
    (all, extent) => all.flatMap((place) => Array.from({ length: extent }, (_, i) => [...place, i])),
    [[]]
  )

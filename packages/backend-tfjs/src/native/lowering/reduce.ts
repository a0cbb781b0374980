import type { Op } from "@foretoken/core"
import type { Lowering } from "../FunctionBuilder.ts"
import { attribute } from "../savedModel.ts"

const f32 = attribute.type("f32")
const i32 = attribute.type("i32")

const reduction =
  <O extends "sum" | "max">(op: string): Lowering<O> =>
  ({ params: { axes, keepDims }, types: [{ dtype }] }, [x], f) => [
    f.add(op, [x, f.ints(axes)], { T: attribute.type(dtype), Tidx: i32, keep_dims: attribute.bool(keepDims) })
  ]

const argmax: Lowering<"argmax"> = ({ inputs: [{ rank }] }, [x], f) => [
  f.add("ArgMax", [x, f.scalar("i32", rank - 1)], { T: f32, Tidx: i32, output_type: i32 })
]

const cumsum: Lowering<"cumsum"> = ({ params: { reverse }, inputs: [{ rank }] }, [x], f) => {
  const attr = { T: f32, Tidx: i32, reverse: attribute.bool(reverse), exclusive: attribute.bool(false) }
  return [f.add("Cumsum", [x, f.scalar("i32", rank - 1)], attr, "out")]
}

const topK: Lowering<"topK"> = ({ params: { k } }, [x], f) => [
  f.add("TopKV2", [x, f.scalar("i32", k)], { T: f32, sorted: attribute.bool(true) }, "values")
]

const softmax: Lowering<"softmax"> = (_, inputs, f) => [f.add("Softmax", inputs, { T: f32 }, "softmax")]

export const reduce = { sum: reduction("Sum"), max: reduction("Max"), argmax, cumsum, topK, softmax } satisfies {
  readonly [O in Op]?: Lowering<O>
}

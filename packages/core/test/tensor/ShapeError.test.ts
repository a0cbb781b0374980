import { describe, expect, test } from "vitest"
import type { Shape, Tensor } from "@foretoken/core"
import { attention, concat, Graph, iota, selectedLogProb, ShapeError } from "@foretoken/core"

const f32 = (...shape: Shape) => ({ dtype: "f32", shape }) as const
const i32 = (...shape: Shape) => ({ dtype: "i32", shape }) as const
const bool = (...shape: Shape) => ({ dtype: "bool", shape }) as const

describe("a shape error names the op, its inputs and what is wrong:", () => {
  test.each<
    readonly [
      string,
      ReadonlyArray<ReturnType<typeof f32 | typeof i32 | typeof bool>>,
      (xs: ReadonlyArray<Tensor>) => unknown,
      string
    ]
  >([
    [
      "shapes that do not broadcast",
      [f32(2, 3), f32(2)],
      ([a, b]) => a.add(b),
      "add(f32[2,3], f32[2]): [2,3] and [2] do not broadcast"
    ],
    [
      "mixed dtypes",
      [f32(2), i32(2)],
      ([a, b]) => a.mul(b),
      "mul(f32[2], i32[2]): mixes f32 and i32; cast one of them"
    ],
    ["floats where integers stand", [i32(2)], ([a]) => a.exp(), "exp(i32[2]): wants f32, got i32[2]"],
    [
      "inner extents of a product",
      [f32(2, 3), f32(2, 3)],
      ([a, b]) => a.matmul(b),
      "matmul(f32[2,3], f32[2,3]): inner extents differ: 3 and 2"
    ],
    ["a product of vectors", [f32(3), f32(3)], ([a, b]) => a.matmul(b), "matmul(f32[3], f32[3]): wants matrices"],
    [
      "an axis that is not there",
      [f32(2, 3)],
      ([a]) => a.sum(2),
      "sum(f32[2,3]): axes [2] are not distinct axes of a rank-2 tensor"
    ],
    [
      "a reshape that does not fill",
      [f32(2, 3)],
      ([a]) => a.reshape([4]),
      "reshape(f32[2,3]): 6 elements do not fill [4]"
    ],
    ["a reshape by a fraction", [f32(2, 3)], ([a]) => a.reshape([4, -1]), "reshape(f32[2,3]): [4,1.5] is not a shape"],
    [
      "a permutation counted from the back",
      [f32(2, 3)],
      ([a]) => a.transpose([0, -1]),
      "transpose(f32[2,3]): [0,-1] does not permute 2 axes"
    ],
    ["a transposed scalar", [f32(3)], ([a]) => a.transpose(), "transpose(f32[3]): [-1] does not permute 1 axes"],
    ["a slice past the end", [f32(4)], ([a]) => a.slice([2], [5]), "slice(f32[4]): [2] to [5] leaves the tensor"],
    [
      "a concatenation of unlike shapes",
      [f32(2, 3), f32(2, 4)],
      ([a, b]) => concat([a, b], 0),
      "concat(f32[2,3], f32[2,4]): wants equal dtypes and shapes but for axis 0"
    ],
    ["float indices", [f32(4, 2), f32(3)], ([a, b]) => a.gather(b), "gather(f32[4,2], f32[3]): wants i32, got f32[3]"],
    ["one index too few", [f32(4, 2), i32(3)], ([a, b]) => a.pick(b), "pick(f32[4,2], i32[3]): wants one id per row"],
    [
      "angles of another width",
      [f32(3, 8), f32(3, 1), f32(3, 1)],
      ([x, c, s]) => x.rotary(c, s),
      "rotary(f32[3,8], f32[3,1], f32[3,1]): wants cos and sin for [3,4]"
    ],
    [
      "integer weights of a norm",
      [f32(3, 8), i32(8)],
      ([x, w]) => x.rmsNorm(w, 1e-5),
      "rmsNorm(f32[3,8], i32[8]): wants f32, got i32[8]"
    ],
    ["more than the last axis has", [f32(3)], ([x]) => x.topK(4), "topK(f32[3]): cannot take 4 of the last axis"],
    [
      "a vocabulary of another width",
      [f32(3, 8), f32(9, 7), i32(3)],
      ([h, v, ids]) => selectedLogProb(h, v, ids),
      "selectedLogProb(f32[3,8], f32[9,7], i32[3]): wants hidden [n,d], vocabulary [v,d], ids [n]"
    ],
    [
      "heads that do not share",
      [f32(1, 3, 1, 2, 4), f32(1, 2, 1, 2, 4), bool(1, 1, 1, 2, 2)],
      ([q, k, mask]) => attention(q, [{ k, v: k, mask }], 1),
      "attention(f32[1,3,1,2,4], f32[1,2,1,2,4], f32[1,2,1,2,4], bool[1,1,1,2,2]): 3 query heads do not share 2 key heads"
    ]
  ])("%s", (_, types, f, message) => {
    expect(() => Graph.trace((xs) => f(xs as never) as Tensor, types as never)).toThrow(`${message} (at `)
  })
})

test("a shape error names the user's line, not the library's, however deep the library was", () => {
  const deep = (n: number, x: Tensor): Tensor => (n === 0 ? x.add(iota([3], 0).cast("f32")) : deep(n - 1, x))
  const traced = () => Graph.trace((x) => deep(30, x), f32(2))
  expect(traced).toThrow(ShapeError)
  expect(traced).toThrow(/\(at packages\/core\/test\/tensor\/ShapeError\.test\.ts:\d+:\d+\)$/)
})

test("an input of another graph is refused when the graph is traced", () => {
  const outer = Graph.trace((x) => x, f32(2)).graph.inputs[0]
  expect(() => Graph.trace((x) => x.add(outer), f32(2))).toThrow(
    /^trace\(f32\[2\]\): reads the input .* of another graph/
  )
})

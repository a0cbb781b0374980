import { expect, layer } from "@effect/vitest"
import { compile, draw, HostTensor } from "@foretoken/core"
import type { Shape, Tensor, Value } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect } from "effect"

const random = (shape: Shape, name: string): HostTensor => {
  const size = shape.reduce((a, b) => a * b, 1)
  return HostTensor.f32(
    shape,
    draw.uniforms(0, [name], size).map((x) => x - 0.5)
  )
}
const bits = (value: Value): ReadonlyArray<number> => ("_tag" in value ? [] : [...value.data])

/** Terms and columns. More than 128 terms are added up in blocks, which depend on a thread's columns where these are few. */
const sizes = [
  [1, 1],
  [7, 3],
  [48, 1],
  [48, 16],
  [128, 80],
  [129, 256],
  [288, 288],
  [300, 257]
] as const
const counts = [1, 2, 3, 7, 16, 39]
const all = 40

layer(Onnx.layer({ device: "cpu", threads: 2 }))("a row of a product on onnxruntime's cpu", (it) => {
  for (const transposeB of [false, true]) {
    for (const batch of [[], [3]]) {
      const stored = `${transposeB ? "rows" : "columns"}, ${batch.length === 0 ? "one matrix" : "three of them"}`
      it.effect(`has the same bits whatever rows stand beside it, or none (against ${stored})`, () =>
        Effect.forEach(
          sizes,
          Effect.fnUntraced(function* ([terms, columns]) {
            const axis = batch.length
            const inputs = [
              random([...batch, all, terms], "a"),
              random([...batch, ...(transposeB ? [columns, terms] : [terms, columns])], "b")
            ]
            const products = ([a, b]: ReadonlyArray<Tensor>) => {
              const whole = a.matmul(b, { transposeB })
              return counts.flatMap((count) => [
                whole.sliceAxis(axis, 0, count),
                a.sliceAxis(axis, 0, count).matmul(b, { transposeB })
              ])
            }
            const types = inputs.map(({ dtype, shape }) => ({ dtype, shape }))
            const { run } = yield* compile("products", products, types, "host")
            const values = (yield* run(inputs)).map(bits)
            for (const [i, count] of counts.entries()) {
              const differing = values[2 * i].filter((x, at) => x !== values[2 * i + 1][at]).length
              expect({ count, terms, columns, differing }).toEqual({ count, terms, columns, differing: 0 })
            }
          }, Effect.scoped)
        )
      )
    }
  }
})

import { expect, test } from "vitest"
import type { ReferenceValue, Shape, Tensor } from "@foretoken/core"
import {
  attention,
  constant,
  evaluate,
  expand,
  Graph,
  HostTensor,
  iota,
  selectedLogProb,
  valueAndGrad
} from "@foretoken/core"
import { torchGolden } from "./torchGolden.ts"

const [D, H, Hk, B, L, T, dh] = [1, 4, 2, 2, 3, 4, 2]
const [d, v] = [H * dh, 7]
const shapes: Readonly<Record<string, Shape>> = {
  q: [D, H, B, L, dh],
  k: [D, Hk, B, L, dh],
  v: [D, Hk, B, L, dh],
  tk: [D, Hk, T, dh],
  tv: [D, Hk, T, dh],
  norm: [d],
  vocabulary: [v, d]
}

const wave = (name: string, shape: Shape): ReferenceValue => {
  const phase = [...name].reduce((total, letter) => total + letter.charCodeAt(0), 0)
  const size = shape.reduce((a, b) => a * b, 1)
  return { dtype: "f32", shape, data: Float64Array.from({ length: size }, (_, i) => Math.sin(i * 0.7 + phase)) }
}

const program = ({ params }: { readonly params: Readonly<Record<string, Tensor>> }): Tensor => {
  const { q, k, v, tk, tv, norm, vocabulary } = params
  const causal = iota([1, 1, 1, L, L], 4)
    .greater(iota([1, 1, 1, L, L], 3))
    .not()
  const anchors = constant(HostTensor.i32([1, 1, B, 1, 1], [2, 4]))
  const trunkMask = iota([1, 1, 1, 1, T], 4).less(anchors)
  const mixed = attention(
    q,
    [
      { k, v, mask: causal },
      { k: tk, v: tv, mask: trunkMask }
    ],
    0.5
  )
  const rows = mixed.transpose([0, 2, 3, 1, 4]).reshape([B * L, d])
  const ids = constant(HostTensor.i32([B * L], [0, 3, 6, 3, 1, 5]))
  return selectedLogProb(rows.rmsNorm(norm, 0.25), vocabulary, ids, { chunk: 4, remake: true }).mean().neg()
}

test.each([
  ["with its composites whole", new Set(["attention", "rmsNorm", "selectedLogProb"] as const)],
  ["decomposed", new Set<never>()]
])("loss and gradients of a small model %s are those of torch autograd", (_, native) => {
  const params = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, { dtype: "f32", shape } as const])
  )
  const { graph } = Graph.trace(valueAndGrad(program, "params"), { params })
  const values = Object.entries(shapes).map(([name, shape]) => wave(name, shape))
  const [loss, ...gradients] = evaluate(expand(graph, native), values)
  expect(loss.data[0]).toBeCloseTo(torchGolden.loss, 12)
  Object.entries(torchGolden.gradients).forEach(([name, golden], i) => {
    const worst = Math.max(...golden.map((x, j) => Math.abs(x - gradients[i].data[j])))
    expect([name, gradients[i].data.length, worst < 1e-9]).toEqual([name, golden.length, true])
  })
})

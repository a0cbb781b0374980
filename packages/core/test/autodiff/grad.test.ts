import { describe, expect, test } from "vitest"
import type { Tensor, TensorsOf } from "@foretoken/core"
import {
  checkGradient,
  constant,
  evaluate,
  fromHost,
  Graph,
  GradientError,
  gradients,
  HostTensor,
  iota,
  loop,
  selectedLogProb,
  valueAndGrad
} from "@foretoken/core"
import { normals } from "../../src/random/draw.ts"

const f32 = (...shape: ReadonlyArray<number>) => ({ dtype: "f32", shape }) as const

/** Normal values, another draw for each name. */
const some = (name: string, ...shape: ReadonlyArray<number>) =>
  fromHost(
    HostTensor.f32(
      shape,
      normals(
        1,
        [name],
        shape.reduce((a, b) => a * b, 1)
      )
    )
  )

/** Values of what `f` gives of one vector. */
const of = (
  x: ReadonlyArray<number>,
  f: (x: Tensor) => ReadonlyArray<Tensor>
): ReadonlyArray<ReadonlyArray<number>> => {
  const { graph } = Graph.trace(f, f32(x.length))
  return evaluate(graph, [fromHost(HostTensor.f32([x.length], x))]).map(({ data }) => [...data])
}

describe("gradients", () => {
  test("print as a graph with nothing in it that is not needed", () => {
    const { graph } = Graph.trace(({ w, x }) => gradients(w.mul(x).sum(), [w]), { w: f32(3), x: f32(3) })
    expect(Graph.print(graph)).toMatchInlineSnapshot(`
      "{ lambda a:f32[3] b:f32[3] .
        let c:f32[] = constant[1]
            d:f32[1] = reshape[shape=[1]] c
            e:f32[3] = broadcastTo[shape=[3]] d
            f:f32[3] = mul e b
        in (f) }"
    `)
  })

  test("add up where a tensor is used more than once", () => {
    expect(of([3, 5], (x) => gradients(x.mul(x).add(x).sum(), [x]))).toEqual([[7, 11]])
  })

  test("are zero where the loss does not depend on a tensor, of that tensor's shape", () => {
    const { graph } = Graph.trace(({ a, b }) => gradients(a.sum(), [a, b]), { a: f32(2), b: f32(2, 3) })
    const values = evaluate(graph, [some("a", 2), some("b", 2, 3)])
    expect(values.map(({ shape, data }) => [shape, [...data]])).toEqual([
      [[2], [1, 1]],
      [
        [2, 3],
        [0, 0, 0, 0, 0, 0]
      ]
    ])
  })

  test("can be asked for in the middle of a graph", () => {
    expect(
      of([3], (x) => {
        const middle = x.mul(2)
        return gradients(middle.square().sum(), [middle, x])
      })
    ).toEqual([[12], [24]])
  })

  test("do not pass stopGradient, integers and comparisons", () => {
    expect(of([3], (x) => gradients(x.stopGradient().mul(x).sum(), [x]))).toEqual([[3]])
    expect(of([3], (x) => gradients(x.cast("i32").cast("f32").mul(x).sum(), [x]))).toEqual([[3]])
    expect(of([3], (x) => gradients(x.less(4).select(x, 0).sum(), [x]))).toEqual([[1]])
  })

  test("are shared evenly among equal maxima, and half and half between equal operands", () => {
    expect(of([2, 2, 1], (x) => gradients(x.max(), [x]))).toEqual([[0.5, 0.5, 0]])
    expect(of([2, 1], (x) => gradients(x.maximum(2).sum(), [x]))).toEqual([[0.5, 0]])
    expect(of([2, 3], (x) => gradients(x.minimum(2).sum(), [x]))).toEqual([[0.5, 0]])
    expect(of([0, -2], (x) => gradients(x.abs().sum(), [x]))).toEqual([[0, -1]])
  })

  test("of ten thousand nodes in a row do not overflow the stack", () => {
    const deep = (x: Tensor) => Array.from({ length: 10_000 }).reduce<Tensor>((y) => y.mul(0.9999), x)
    const [[slope]] = of([1], (x) => gradients(deep(x).sum(), [x]))
    expect(slope).toBeCloseTo(Math.fround(0.9999) ** 10_000, 10)
  })

  test("of a large embedding do not depend on rows that were not read", () => {
    const ids = HostTensor.i32([3], [4, 1, 4])
    const { graph } = Graph.trace((table) => gradients(table.gather(constant(ids)).sum(), [table]), f32(6, 1))
    expect([...evaluate(graph, [some("table", 6, 1)])[0].data]).toEqual([0, 1, 0, 0, 2, 0])
  })
})

describe("what has no gradient says so, by name and line:", () => {
  const twice = (x: Tensor) =>
    loop({ carried: { x }, fixed: {}, maxSteps: 2 }, (step, { x }) => ({
      continues: step.less(5),
      carried: { x: x.mul(2) }
    }))

  test("a loop", () => {
    const asked = () => of([1], (x) => gradients(twice(x).x.sum(), [x]))
    expect(asked).toThrow(GradientError)
    expect(asked).toThrow(/^loop\(f32\[1\]\): has no gradient.* \(at .*grad\.test\.ts:\d+:\d+\)$/)
  })

  test("topK", () => {
    expect(() => of([1, 2], (x) => gradients(x.topK(1).sum(), [x]))).toThrow(/^topK\(f32\[2\]\): has no gradient/)
  })

  test("unless nobody needs it: the loop stands behind stopGradient, or gives integers only", () => {
    expect(of([1], (x) => gradients(twice(x.stopGradient()).x.mul(x).sum(), [x]))).toEqual([[4]])
    expect(of([1], (x) => gradients(twice(x).x.stopGradient().mul(x).sum(), [x]))).toEqual([[4]])
    expect(of([1, 5], (x) => gradients(x.gather(x.topK(1).sum().cast("i32").mul(0)).sum(), [x]))).toEqual([[1, 0]])
  })

  test("a loss that is no scalar, a parameter that is no float", () => {
    expect(() => of([1, 2], (x) => gradients(x, [x]))).toThrow("gradients(f32[2]): wants a scalar loss")
    expect(() => of([1], (x) => gradients(x.sum(), [x.cast("i32")]))).toThrow("only floats have gradients")
  })
})

describe("valueAndGrad", () => {
  const types = { params: { w: f32(2, 3), nested: [f32(3)] }, x: f32(2) } as const
  const model = ({ params, x }: TensorsOf<typeof types>) =>
    x.expandDims(0).matmul(params.w).add(params.nested[0]).square().sum()

  test("gives the loss and a tree of gradients like the parameters", () => {
    const { graph, outputs } = Graph.trace(valueAndGrad(model, "params"), types)
    expect(Object.keys(outputs)).toEqual(["loss", "gradients"])
    const values = evaluate(graph, [some("w", 2, 3), some("b", 3), some("x", 2)])
    expect(values.map(({ shape }) => shape)).toEqual([[], [2, 3], [3]])
  })

  test("passes on what else the function gives", () => {
    const f = valueAndGrad(({ params, x }: { params: Tensor; x: Tensor }) => {
      const y = params.mul(x)
      return { loss: y.sum(), aux: { y } }
    }, "params")
    const { graph } = Graph.trace(
      (inputs) => {
        const { loss, gradients, aux } = f(inputs)
        return [loss, gradients, aux.y]
      },
      { params: f32(2), x: f32(2) }
    )
    const values = evaluate(
      graph,
      [2, 3].map((k) => fromHost(HostTensor.f32([2], [k, 10 * k])))
    )
    expect(values.map(({ data }) => [...data])).toEqual([[606], [3, 30], [6, 600]])
  })
})

describe("a gradient can be differentiated again:", () => {
  test("the third derivative of x⁴ is 24 x", () => {
    const derivative = (f: (x: Tensor) => Tensor) => (x: Tensor) => gradients(f(x), [x])[0].sum()
    const fourth = (x: Tensor) => x.square().square().sum()
    expect(of([2, -1], (x) => gradients(derivative(derivative(fourth))(x), [x]))).toEqual([[48, -24]])
  })

  /** The gradient's product with a fixed vector is a scalar program again, so finite differences can tell. */
  const second = (f: (inputs: ReadonlyArray<Tensor>) => Tensor) => (inputs: ReadonlyArray<Tensor>) => {
    const floats = inputs.filter(({ dtype }) => dtype === "f32")
    const wave = (g: Tensor) =>
      g.rank === 0
        ? g
        : g
            .mul(
              iota(g.shape, g.rank - 1)
                .cast("f32")
                .add(0.5)
                .sin()
            )
            .sum()
    return gradients(f(inputs), floats)
      .map(wave)
      .reduce((a, b) => a.add(b))
  }
  const weigh = (y: Tensor) =>
    y
      .mul(
        iota(y.shape, y.rank - 1)
          .cast("f32")
          .add(1)
          .cos()
      )
      .sum()

  const kept = { chunk: 2, remake: false }
  const remade = { chunk: 2, remake: true }
  test.each<readonly [string, (inputs: ReadonlyArray<Tensor>) => Tensor, ReadonlyArray<ReturnType<typeof some>>]>([
    ["softmax", ([x]) => weigh(x.softmax()), [some("x", 3, 4)]],
    ["rmsNorm", ([x, w]) => weigh(x.rmsNorm(w, 1e-5)), [some("x", 3, 4), some("w", 4)]],
    ["swiglu", ([x, y]) => weigh(x.swiglu(y)), [some("x", 5), some("y", 5)]],
    ["matmul", ([x, y]) => weigh(x.matmul(y).tanh()), [some("x", 3, 4), some("y", 4, 2)]],
    ["pick", ([x]) => weigh(x.square().pick(iota([3], 0))), [some("x", 3, 4)]],
    [
      "selectedLogProb",
      ([x, v]) => weigh(selectedLogProb(x, v, iota([3], 0), kept)),
      [some("x", 3, 4), some("v", 5, 4)]
    ],
    [
      "remade logits",
      ([x, v]) => weigh(selectedLogProb(x, v, iota([3], 0), remade)),
      [some("x", 3, 4), some("v", 5, 4)]
    ]
  ])("%s", (_, f, at) => {
    for (const { error } of checkGradient(second(f), at)) expect(error).toBeLessThan(1e-7)
  })
})

test("a wrong gradient is noticed: finite differences see what stopGradient hides", () => {
  const wrong = ([x]: ReadonlyArray<Tensor>) => x.mul(x.stopGradient()).sum()
  for (const { error } of checkGradient(wrong, [some("x", 4)])) expect(error).toBeGreaterThan(0.1)
})

import { describe, expect, test } from "vitest"
import type { ReferenceValue, Tensor } from "@foretoken/core"
import { concat, constant, evaluate, expand, fromHost, Graph, HostTensor, loop } from "@foretoken/core"
import * as fc from "fast-check"
import { mergeEqual } from "../../src/tensor/simplify.ts"
import { graphOf } from "../../src/testing/backendLaws/Case.ts"
import { smallPrograms } from "../../src/testing/backendLaws/programs.ts"

const f32 = (...shape: ReadonlyArray<number>) => ({ dtype: "f32", shape }) as const
const pair = { a: f32(2, 3), b: f32(3) }
const traced = (f: (x: { readonly a: Tensor; readonly b: Tensor }) => Tensor) => Graph.trace(f, pair).graph

const countdown = (limit: number, maxSteps: number) =>
  Graph.trace(
    (x) =>
      loop({ carried: { x }, fixed: {}, maxSteps }, (step, { x }) => ({
        continues: step.less(limit),
        carried: { x: x.mul(2) }
      })).x,
    f32(2)
  ).graph

describe("a graph prints", () => {
  test("one line a node, in order, with types and parameters", () => {
    expect(Graph.print(traced(({ a, b }) => a.rmsNorm(b, 1e-5).matmul(a, { transposeB: true }).sum(0))))
      .toMatchInlineSnapshot(`
      "{ lambda a:f32[2,3] b:f32[3] .
        let c:f32[2,3] = rmsNorm[eps=0.00001] a b
            d:f32[2,2] = matmul[transposeA=false transposeB=true] c a
            e:f32[2] = sum[axes=[0] keepDims=false] d
        in (e) }"
    `)
  })

  test("small constants as they are, large ones by their hash", () => {
    const large = constant(HostTensor.i32([3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]))
    expect(
      Graph.print(
        Graph.trace(
          (x) =>
            x
              .add(constant(HostTensor.f32([2], [-0, 0.5])))
              .sum()
              .add(large.cast("f32").sum()),
          f32(2)
        ).graph
      )
    ).toMatchInlineSnapshot(`
      "{ lambda a:f32[2] .
        let b:f32[2] = constant[-0 0.5]
            c:f32[2] = add a b
            d:f32[] = sum[axes=[0] keepDims=false] c
            e:i32[3,3] = constant[sha256:e3d25e7590edd762]
            f:f32[3,3] = cast[dtype="f32"] e
            g:f32[] = sum[axes=[0,1] keepDims=false] f
            h:f32[] = add d g
        in (h) }"
    `)
  })

  test("the body of a loop inside it", () => {
    expect(Graph.print(countdown(3, 5))).toMatchInlineSnapshot(`
      "{ lambda a:f32[2] .
        let b:f32[2] = loop[body=
            { lambda a:i32[] b:f32[2] .
              let c:i32[] = constant[3]
                  d:bool[] = less a c
                  e:f32[] = constant[2]
                  f:f32[2] = mul b e
              in (d f) } carried=1 maxSteps=5] a
        in (b) }"
    `)
  })

  test("after z come two letters", () => {
    const { graph } = Graph.trace((x) => Array.from({ length: 27 }).reduce<Tensor>((y) => y.exp(), x), f32())
    expect(Graph.print(graph)).toMatch(/ab:f32\[\] = exp aa\n {2}in \(ab\) }$/)
  })
})

describe("the hash of a graph", () => {
  test("is the same for the same program, whenever and wherever it is traced", () => {
    const again = () => Graph.hash(traced(({ a, b }) => a.mul(b).softmax()))
    expect(again()).toBe(again())
    expect(again()).toBe("5351e46f0fe849a8b20d26521067c75c9e58d82e00a081862346488285663269")
  })

  test("tells programs apart that differ in an op, a parameter, a constant, a shape, the body of a loop or an order", () => {
    const ones = (value: number) => constant(HostTensor.fill("f32", [3, 9], value)).sum(1)
    const programs = [
      traced(({ a, b }) => a.mul(b)),
      traced(({ a, b }) => a.add(b)),
      traced(({ a, b }) => b.mul(a)),
      traced(({ a }) => a.sum(0)),
      traced(({ a }) => a.sum(0, true)),
      traced(({ a }) => a.rmsNorm(a.sum(0), 1e-5)),
      traced(({ a }) => a.rmsNorm(a.sum(0), 1e-6)),
      traced(({ a }) => a.mul(2)),
      traced(({ a }) => a.mul(3)),
      traced(({ a }) => a.mul(-0)),
      traced(({ a }) => a.mul(0)),
      traced(({ b }) => b.mul(ones(1))),
      traced(({ b }) => b.mul(ones(2))),
      Graph.trace(({ a, b }) => a.mul(b), { a: f32(4, 3), b: f32(3) }).graph,
      Graph.trace(({ a, b }) => [a, b], pair).graph,
      Graph.trace(({ a, b }) => [b, a], pair).graph,
      countdown(3, 5),
      countdown(4, 5),
      countdown(3, 6)
    ]
    expect(new Set(programs.map(Graph.hash)).size).toBe(programs.length)
  })
})

const values = (inputs: ReadonlyArray<Parameters<typeof fromHost>[0]>) => inputs.map(fromHost)
const far = (a: ReadonlyArray<ReferenceValue>, b: ReadonlyArray<ReferenceValue>) =>
  Math.max(0, ...a.flatMap(({ data }, i) => Array.from<number>(data).map((x, j) => Math.abs(x - b[i].data[j]))))

describe("rewriting keeps the meaning:", () => {
  test("equal nodes made one", () => {
    fc.assert(
      fc.property(smallPrograms, ({ run, inputs }) => {
        const graph = graphOf((xs) => [...run(xs), ...run(xs)], inputs)
        const merged = mergeEqual(graph)
        expect(far(evaluate(graph, values(inputs)), evaluate(merged, values(inputs)))).toBe(0)
        expect(merged.nodes.length).toBe(mergeEqual(graphOf(run, inputs)).nodes.length)
      }),
      { numRuns: 50, seed: 1 }
    )
  })

  test("composites decomposed", () => {
    fc.assert(
      fc.property(smallPrograms, ({ run, inputs }) => {
        const graph = graphOf(run, inputs)
        const expanded = expand(graph, new Set())
        expect(far(evaluate(graph, values(inputs)), evaluate(expanded, values(inputs)))).toBeLessThan(1e-10)
        expect(expanded.nodes.filter(({ op }) => ["softmax", "rmsNorm", "attention", "swiglu"].includes(op))).toEqual(
          []
        )
      }),
      { numRuns: 50, seed: 2 }
    )
  })

  test("inputs baked in as constants", () => {
    fc.assert(
      fc.property(smallPrograms, fc.subarray([0, 1, 2, 3]), ({ run, inputs }, fixed) => {
        const graph = graphOf(run, inputs)
        const baked = Graph.bake(graph, new Map(fixed.map((i) => [i, inputs[i]])))
        const rest = inputs.filter((_, i) => !fixed.includes(i))
        expect(baked.inputs.length).toBe(rest.length)
        expect(far(evaluate(graph, values(inputs)), evaluate(baked, values(rest)))).toBe(0)
      }),
      { numRuns: 50, seed: 3 }
    )
  })

  test("composites that a backend has stay, in the body of a loop too", () => {
    const { graph } = Graph.trace(
      (x) =>
        loop({ carried: { x }, fixed: {}, maxSteps: 2 }, (step, { x }) => ({
          continues: step.less(5),
          carried: { x: x.softmax().swiglu(x) }
        })).x.softmax(),
      f32(4)
    )
    const printed = Graph.print(expand(graph, new Set(["softmax"])))
    expect(printed.match(/= softmax/g)).toHaveLength(2)
    expect(printed).not.toMatch(/= swiglu/)
    expect(Graph.print(expand(graph, new Set(["swiglu"])))).toMatch(/= swiglu/)
    const x = [fromHost(HostTensor.f32([4], [1, 2, 3, 4]))]
    expect(far(evaluate(graph, x), evaluate(expand(graph, new Set()), x))).toBeLessThan(1e-12)
  })

  test("what no output needs is no part of a graph, and what is not equal is not merged", () => {
    const { graph } = Graph.trace((x) => {
      x.exp()
      return concat([x.sum(0, true), x.sum(0, true).mul(1), x.max(0, true), x.mul(0), x.mul(-0)], 0)
    }, f32(2))
    expect(mergeEqual(graph).nodes.map(({ op }) => op)).toEqual([
      "sum",
      "constant",
      "mul",
      "max",
      "constant",
      "mul",
      "constant",
      "mul",
      "concat"
    ])
  })
})

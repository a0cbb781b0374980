import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { Graph } from "../../src/tensor/Graph.ts"
import { liveness, totalBytes } from "../../src/tensor/liveness.ts"
import { loop } from "../../src/tensor/loop.ts"
import { expand } from "../../src/tensor/simplify.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { graphOf } from "../../src/testing/backendLaws/Case.ts"
import { smallPrograms } from "../../src/testing/backendLaws/programs.ts"

const f32 = (...shape: ReadonlyArray<number>) => ({ dtype: "f32", shape }) as const

/** Of a program over one [4,8] tensor: 128 bytes. */
const of = (f: (x: Tensor) => Tensor | ReadonlyArray<Tensor>) =>
  liveness(Graph.trace((x) => f(x) as Tensor, f32(4, 8)).graph) // one tensor or several are a tree either way

describe("liveness, by hand", () => {
  test("an input is there throughout, and is no computed value", () => {
    expect(of((x) => x)).toEqual({ inputs: 128, peak: 0, outputs: 0, all: 0 })
  })

  test("a chain needs two neighbours at a time", () => {
    // [4,4] 64, then [4,8] 128 beside it, then [4,4] 64 beside that.
    const chain = (x: Tensor) => x.matmul(x, { transposeB: true }).matmul(x).matmul(x, { transposeB: true })
    expect(of(chain)).toEqual({ inputs: 128, peak: 192, outputs: 64, all: 256 })
  })

  test("an elementwise result takes the place of an operand that ends there, and no other", () => {
    expect(of((x) => x.exp().neg().tanh()).peak).toBe(128)
    // exp is read again behind its neg.
    expect(
      of((x) => {
        const e = x.exp()
        return e.neg().matmul(e, { transposeB: true })
      }).peak
    ).toBe(256 + 64)
    // A comparison is no smaller copy of its operand.
    expect(of((x) => x.exp().less(x)).peak).toBe(128 + 32)
  })

  test("a view takes nothing and keeps alive what it views", () => {
    const viewed = (x: Tensor) => {
      const made = x.exp()
      const view = made.reshape([32]).stopGradient().keep()
      return view.sum().add(view.max())
    }
    expect(of(viewed)).toEqual({ inputs: 128, peak: 128 + 8, outputs: 4, all: 128 + 12 })
    expect(of((x) => x.reshape([32])).peak).toBe(0)
  })

  test("an output stays to the end, once, however often it is asked for", () => {
    const kept = (x: Tensor) => {
      const e = x.exp()
      return [e, e.reshape([32]), e.sum().exp()]
    }
    expect(of(kept)).toEqual({ inputs: 128, peak: 132, outputs: 132, all: 136 })
  })

  test("a loop takes what its body takes, beside what it carries", () => {
    const counted = (x: Tensor) =>
      loop({ carried: { x: x.exp() }, fixed: {}, maxSteps: 3 }, (step, carried) => ({
        continues: step.less(2),
        carried: { x: carried.x.matmul(carried.x, { transposeA: true }).slice([0, 0], [4, 8]) }
      })).x
    // What it begins with 128, what it gives 128, and inside [8,8] 256, the next x 128, two scalars of the condition.
    const { peak, outputs } = of(counted)
    expect(outputs).toBe(128)
    expect(peak).toBeGreaterThanOrEqual(128 + 128 + 256 + 128)
    expect(peak).toBeLessThanOrEqual(128 + 128 + 256 + 128 + 16)
  })
})

describe("liveness, for any program", () => {
  const graphs = smallPrograms.map(({ run, inputs }) => expand(graphOf(run, inputs), new Set()))

  test("its peak is at least what any step writes, at least the outputs, and at most all there is", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const { peak, outputs, all } = liveness(graph)
        const views = new Set(["reshape", "stopGradient", "keep"])
        const written = graph.nodes.filter(({ op }) => !views.has(op)).map(({ types }) => totalBytes(types))
        expect(peak).toBeGreaterThanOrEqual(Math.max(0, ...written))
        expect(peak).toBeGreaterThanOrEqual(outputs)
        expect(peak).toBeLessThanOrEqual(all)
      }),
      { numRuns: 200, seed: 2 }
    )
  })

  test("asking for one more of its values never lowers the peak", () => {
    fc.assert(
      fc.property(graphs, fc.nat(), (graph, pick) => {
        const made = graph.nodes.flatMap(({ inputs }) => inputs)
        if (made.length === 0) return
        const more = { ...graph, outputs: [...graph.outputs, made[pick % made.length]] }
        expect(liveness(more).peak).toBeGreaterThanOrEqual(liveness(graph).peak)
      }),
      { numRuns: 200, seed: 3 }
    )
  })
})

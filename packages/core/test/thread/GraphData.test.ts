import { describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { expect } from "vitest"
import { Graph } from "../../src/tensor/Graph.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { loop } from "../../src/tensor/loop.ts"
import { constant } from "../../src/tensor/operations.ts"
import type { Op } from "../../src/tensor/Primitive.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { backward, forward, graphOf } from "../../src/testing/backendLaws/Case.ts"
import type { Case } from "../../src/testing/backendLaws/Case.ts"
import { cases } from "../../src/testing/backendLaws/cases.ts"
import { smallPrograms } from "../../src/testing/backendLaws/programs.ts"
import { decode, encode } from "../../src/thread/GraphData.ts"

/** As another thread gets it. */
const arrived = (graph: Graph): Graph => decode(structuredClone(encode(graph)))
const same = (graph: Graph): void => {
  expect(Graph.print(arrived(graph))).toBe(Graph.print(graph))
}

describe("a graph that was sent to another thread is the graph that was sent", () => {
  for (const op of Object.keys(cases) as ReadonlyArray<Op>) {
    it(`${op}`, () => {
      const some = cases[op] as fc.Arbitrary<Case<Op>> // op is paired with its params in the table
      fc.assert(
        fc.property(some, ({ params, inputs }) => same(graphOf(forward(op, params), inputs))),
        { numRuns: 20 }
      )
    })
  }

  it("small programs and their gradients", () => {
    fc.assert(
      fc.property(smallPrograms, ({ run, inputs, weights }) => {
        same(graphOf(run, inputs))
        same(graphOf(backward(run), [...inputs, weights]))
      })
    )
  })

  it("loops in loops, inputs that nothing reads, and one value that is several outputs", () => {
    const count = { dtype: "i32", shape: [] } as const
    const inner = (x: Tensor) =>
      loop({ carried: { x }, fixed: {}, maxSteps: 3 }, (step, { x }) => ({
        continues: step.less(2),
        carried: { x: x.add(1) }
      })).x
    const { graph } = Graph.trace(
      ({ x }) => {
        const end = loop(
          { carried: { a: x, b: constant(HostTensor.i32([], [7])) }, fixed: {}, maxSteps: 2 },
          (_, of) => ({
            continues: constant(HostTensor.bool([], [1])),
            carried: { a: inner(of.a), b: of.b }
          })
        )
        return [end.a, end.b, end.a, x]
      },
      { unread: count, x: count }
    )
    same(graph)
  })
})

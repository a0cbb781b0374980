import { describe, expect, test } from "vitest"
import type { Op, ReferenceValue } from "@foretoken/core"
import { checkGradient, composites, decompose, evaluate, fromHost } from "@foretoken/core"
import * as fc from "fast-check"
import { normals } from "../../src/random/draw.ts"
import type { Rule } from "../../src/autodiff/Rule.ts"
import { rules } from "../../src/autodiff/rules.ts"
import { backward, type Case, forward, graphOf } from "../../src/testing/backendLaws/Case.ts"
import { cases } from "../../src/testing/backendLaws/cases.ts"
import { isDifferentiable, weighted } from "../../src/testing/backendLaws.ts"

const differentiable = (Object.keys(rules) as ReadonlyArray<Op>).filter(isDifferentiable) // the table has exactly the ops

const casesOf = (op: Op) => weighted(op, cases[op] as fc.Arbitrary<Case<Op>>) // the entry of that op

/** Values moved off ties, zeros and other kinks, where there is no derivative to compare with. */
const offKinks = (value: ReferenceValue, i: number): ReferenceValue => {
  const noise = normals(7, [i], value.data.length)
  return value.dtype !== "f32"
    ? value
    : {
        ...value,
        data: Float64Array.from(value.data, (x, j) => (x === 0 ? 0.1 * noise[j] : x * (1 + 0.01 * noise[j])))
      }
}

const loss = (op: Op, params: Case<Op>["params"]) => (inputs: Parameters<ReturnType<typeof forward>>[0]) =>
  forward(
    op,
    params
  )(inputs.slice(0, -1))[0]
    .mul(inputs[inputs.length - 1])
    .sum()

describe("the rule agrees with finite differences:", () => {
  test.each(differentiable)("%s", (op) => {
    fc.assert(
      fc.property(casesOf(op), ({ params, inputs }) => {
        // stopGradient inside (softmax's maximum) makes no difference to a derivative; a kink would
        const at = inputs.map(fromHost).map(offKinks)
        for (const { error } of checkGradient(loss(op, params), at, { step: 1e-6 })) expect(error).toBeLessThan(2e-6)
      }),
      { numRuns: 25, seed: 3 }
    )
  })
})

describe("the composite's own rule agrees with the gradient of its decomposition:", () => {
  test.each(composites)("%s", (op) => {
    const decomposed = decompose[op] as (params: unknown, inputs: unknown) => ReturnType<Rule<Op>>[0] // the entry of that op
    fc.assert(
      fc.property(casesOf(op), ({ params, inputs }) => {
        const at = inputs.map(fromHost)
        const own = evaluate(graphOf(backward(forward(op, params)), inputs), at)
        const through = evaluate(
          graphOf(
            backward((xs) => [decomposed(params, xs)!]),
            inputs
          ),
          at
        )
        own.forEach(({ data }, i) => {
          const size = Math.max(1, ...data.map(Math.abs))
          data.forEach((x, j) => expect(Math.abs(x - through[i].data[j])).toBeLessThan(1e-12 * size))
        })
      }),
      { numRuns: 30, seed: 5 }
    )
  })
})

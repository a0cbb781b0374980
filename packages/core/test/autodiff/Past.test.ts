import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { gradients } from "../../src/autodiff/grad.ts"
import type { Remember } from "../../src/autodiff/Past.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { nextToken } from "../../src/rl/objective.ts"
import { Graph, record } from "../../src/tensor/Graph.ts"
import { floatsOf } from "../../src/tensor/half.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { liveness } from "../../src/tensor/liveness.ts"
import { evaluate, fromHost } from "../../src/tensor/Reference.ts"
import { expand } from "../../src/tensor/simplify.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { smallPrograms } from "../../src/testing/backendLaws/programs.ts"
import { configs, float, int, randomWeights } from "../model/numbers.ts"

const f32 = (...shape: ReadonlyArray<number>) => ({ dtype: "f32", shape }) as const

/** tanh(x · x) over and over, `depth` layers of it, with the gradient in x. */
const tower = (depth: number, remember: Remember) =>
  Graph.trace(
    (x) => {
      let at = x.keep()
      for (let layer = 0; layer < depth; layer++) at = at.matmul(x).tanh().matmul(x).tanh().add(at).keep()
      return gradients(at.sum(), [x], remember)[0]
    },
    f32(16, 16)
  ).graph

/** A row, and matrices of bits of bf16 or of the same values in f32. */
const frozenValues = (depth: number, dtype: "f32" | "bf16") => {
  const bits = (seed: number) =>
    Array.from({ length: 64 * 64 }, (_, i) => 0x3c00 + ((i * 7919 + seed * 31) % 512) + (i % 3 === 0 ? 0x8000 : 0))
  const matrix = (seed: number) =>
    dtype === "bf16"
      ? HostTensor.half("bf16", [64, 64], bits(seed))
      : HostTensor.f32([64, 64], floatsOf("bf16", bits(seed)))
  const row = HostTensor.f32(
    [1, 64],
    Array.from({ length: 64 }, (_, i) => Math.sin(i))
  )
  return [row, ...Array.from({ length: depth }, (_, i) => matrix(i))].map(fromHost)
}

const bytes = (graph: Graph) => liveness(expand(graph, new Set())).peak

describe("a gradient that remembers layers only", () => {
  test("is that which remembers all, to the last bit, for any program and wherever it keeps values", () => {
    fc.assert(
      fc.property(fc.array(smallPrograms, { minLength: 1, maxLength: 3 }), smallPrograms, (stages, last) => {
        const gradientsOf = (remember: Remember) => {
          const { graph } = record(
            ((leaves: ReadonlyArray<Tensor>) => {
              const [x, y, weight, ids, weights] = leaves
              let [first, second] = [x.keep(), y]
              for (const { run } of stages) {
                const [made, before] = run([first, second, weight, ids])
                ;[first, second] = [made.keep(), before]
              }
              return gradients(first.mul(weights).sum(), [x, y, weight], remember)
            }) as never, // what it gives is a list of tensors, which is a tree of them
            last.inputs.concat(last.weights).map(({ dtype, shape }) => ({ dtype, shape }))
          )
          return evaluate(graph, last.inputs.concat(last.weights).map(fromHost)).map(({ data }) => data)
        }
        expect(gradientsOf("layers")).toEqual(gradientsOf("all"))
      }),
      { numRuns: 60, seed: 8 }
    )
  })

  test("is that of every model, to the last bit", () => {
    fc.assert(
      fc.property(configs, fc.nat(100), (any, seed) => {
        const config = { ...any, layers: 3 }
        const weights = randomWeights(config, seed)
        const names = Object.keys(weights)
        const data = {
          trunk: int([2, 5], [1, 5, 2, 7, 3, 3, 9, 0, 10, 4]),
          trunkWeights: float([2, 5], Array(10).fill(0.1))
        }
        const values = [...names.map((name) => weights[name]), data.trunk, data.trunkWeights]
        const graphOf = (remember: Remember) =>
          record(
            ((given: { weights: WeightsOf<Tensor>; data: Record<string, Tensor> }) => {
              const { loss } = nextToken(config, given.weights, given.data)
              return gradients(
                loss,
                names.map((name) => given.weights[name]),
                remember
              )
            }) as never, // as above
            { weights, data }
          ).graph
        const [all, layers] = [graphOf("all"), graphOf("layers")]
        expect(evaluate(layers, values).map(({ data: own }) => own)).toEqual(
          evaluate(all, values).map(({ data: own }) => own)
        )
      }),
      { numRuns: 10, seed: 4 }
    )
  })

  test("needs one layer's memory and a value a layer, where all of it grows with the layers", () => {
    const value = 16 * 16 * 4
    const grows = (remember: Remember) => (bytes(tower(12, remember)) - bytes(tower(4, remember))) / 8
    expect(grows("layers")).toBe(value)
    expect(grows("all")).toBe(3 * value)
  })

  test.each(["all", "layers"] as const)("has one widened weight of two bytes at a time, remembering %s", (remember) => {
    const frozen = (depth: number, dtype: "f32" | "bf16") =>
      Graph.trace(
        ([x, ...weights]: ReadonlyArray<Tensor>) => {
          const layer = (at: Tensor, w: Tensor) =>
            at
              .matmul(w.dtype === "f32" ? w : w.cast("f32"))
              .tanh()
              .keep()
          return gradients(weights.reduce(layer, x.keep()).sum(), [x], remember)[0]
        },
        [f32(1, 64), ...Array.from({ length: depth }, () => ({ dtype, shape: [64, 64] }))]
      ).graph
    expect(bytes(frozen(12, "bf16"))).toBeLessThan(3 * 4 * 64 * 64)
    const valueOf = (dtype: "f32" | "bf16") => evaluate(frozen(5, dtype), frozenValues(5, dtype))
    expect(valueOf("bf16")).toEqual(valueOf("f32"))
  })

  test("computes nothing twice where nothing is kept", () => {
    const flat = (remember: Remember) =>
      Graph.print(Graph.trace((x) => gradients(x.matmul(x).tanh().sum(), [x], remember)[0], f32(3, 3)).graph)
    expect(flat("layers")).toBe(flat("all"))
  })
})

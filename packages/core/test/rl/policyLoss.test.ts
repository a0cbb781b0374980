import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { gradients } from "../../src/autodiff/grad.ts"
import { policyLoss } from "../../src/rl/policyLoss.ts"
import type { Batch } from "../../src/rl/Batch.ts"
import { behaviourLogprobs, currentLogprobs, maskTensor } from "../../src/rl/Logprobs.ts"
import * as Loss from "../../src/rl/loss.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { compute, float, gap } from "../model/numbers.ts"

/** Rollouts [D][B]: an advantage, and per token what the sampler and the current policy say. */
interface Row {
  readonly advantage: number
  readonly tokens: ReadonlyArray<{ readonly behaviour: number; readonly change: number }>
}

/** Changes of log p whose ratios lie well inside, well outside and exactly at 1; never at an edge of the clip. */
const change = fc.oneof(
  fc.constant(0),
  fc.double({ min: -0.15, max: 0.15, noNaN: true }),
  fc.double({ min: 0.3, max: 2, noNaN: true }),
  fc.double({ min: -2, max: -0.3, noNaN: true })
)
const row: fc.Arbitrary<Row> = fc.record({
  advantage: fc.oneof(fc.constant(0), fc.double({ min: -3, max: 3, noNaN: true })),
  tokens: fc.array(
    // What is f32 in a batch is f32 here too, so that both sides see the same numbers.
    fc.record({ behaviour: fc.double({ min: -5, max: -0.01, noNaN: true }).map(Math.fround), change }),
    { maxLength: 4 }
  )
})
const batches = fc
  .record({ documents: fc.integer({ min: 1, max: 3 }), branches: fc.integer({ min: 1, max: 3 }) })
  .chain(({ documents, branches }) =>
    fc.array(fc.array(row, { minLength: branches, maxLength: branches }), {
      minLength: documents,
      maxLength: documents
    })
  )
  .filter((rows) => rows.flat().some(({ tokens }) => tokens.length > 0))

const losses = fc.constantFrom(
  Loss.clipped({ low: 0.2, high: 0.28 }),
  Loss.clipped({ low: 0.2, high: 0.2 }),
  Loss.clipped({ low: 0.18, high: 0.25 }),
  Loss.truncated({ cap: 1 }),
  Loss.truncated({ cap: 2 })
)
const length = 5

/** [D,B,5] arrays of the rollouts; off the completions `garbage` stands on both sides. */
const arrays = (rows: ReadonlyArray<ReadonlyArray<Row>>, garbage: readonly [number, number] = [0, 0]) => {
  const all = rows.flat()
  const shape = [rows.length, rows[0].length, length]
  const perToken = (f: (token: Row["tokens"][number]) => number, off: number) =>
    Float64Array.from({ length: all.length * length }, (_, i) => {
      const token = all[Math.floor(i / length)].tokens[i % length]
      return token === undefined ? off : f(token)
    })
  return {
    shape,
    logprobs: perToken(({ behaviour, change }) => behaviour + change, garbage[0]),
    behaviour: perToken(({ behaviour }) => behaviour, garbage[1]),
    advantages: Float64Array.from(all, ({ advantage }) => Math.fround(advantage)),
    mask: perToken(() => 1, 0),
    tokenCount: all.reduce((sum, { tokens }) => sum + tokens.length, 0)
  }
}
type Arrays = ReturnType<typeof arrays>

/** The tensor program: its value, its gradient in the log-probabilities, and its sums. */
const traced = (loss: Loss.Loss, { shape, logprobs, behaviour, advantages, mask }: Arrays, tokenCount: number) => {
  const { given, gradient, sums } = compute(
    (inputs: { logprobs: Tensor; behaviourLogprobs: Tensor; advantages: Tensor; mask: Tensor; tokenCount: Tensor }) => {
      const { loss: value, ...sums } = policyLoss(loss, {
        ...inputs,
        logprobs: currentLogprobs(inputs.logprobs),
        behaviourLogprobs: behaviourLogprobs(inputs.behaviourLogprobs),
        mask: maskTensor(inputs.mask)
      })
      return { given: value, gradient: gradients(value, [inputs.logprobs])[0], sums: { ...sums } }
    },
    {
      logprobs: float(shape, logprobs),
      behaviourLogprobs: float(shape, behaviour),
      advantages: float(shape.slice(0, 2), advantages),
      mask: float(shape, mask),
      tokenCount: float([], [tokenCount])
    }
  )
  return {
    value: given.data[0],
    gradient: gradient.data,
    kl: sums.klSum.data[0],
    cut: sums.cutSum.data[0],
    ratio: sums.ratioSum.data[0],
    gap: sums.logprobGap.data[0]
  }
}

const batchOf = ({ shape: [documents, branches], mask, behaviour, advantages, tokenCount }: Arrays): Batch => ({
  trunk: { documents, length: 1, tokens: new Int32Array(documents), lengths: new Int32Array(documents) },
  branches: {
    documents,
    branches,
    length,
    tailLength: 0,
    tokens: new Int32Array(mask.length),
    anchors: new Int32Array(documents * branches),
    lengths: new Int32Array(documents * branches),
    mask: maskTensor(Float32Array.from(mask))
  },
  behaviourLogprobs: behaviourLogprobs(Float32Array.from(behaviour)),
  temperature: 1,
  policyVersions: [],
  advantages: Float32Array.from(advantages),
  tokenCount
})

describe("a policy loss as a tensor program", () => {
  it("has the value, the gradient and the metrics of its definition", () => {
    fc.assert(
      fc.property(batches, losses, (rows, loss) => {
        const given = arrays(rows)
        const { tokenCount } = given
        const program = traced(loss, given, tokenCount)
        const { value, gradient, metrics } = Loss.reference(loss, batchOf(given), currentLogprobs(given.logprobs))
        // The edges 1 - low and 1 + high are f32 constants in the program.
        expect(Math.abs(program.value - value)).toBeLessThan(1e-6)
        expect(gap(program.gradient, gradient)).toBeLessThan(1e-9)
        expect(Math.abs(program.kl / tokenCount - metrics.approx_kl)).toBeLessThan(1e-9)
        expect(Math.abs(program.cut / tokenCount - metrics.clipfrac)).toBeLessThan(1e-12)
        expect(Math.abs(program.ratio / tokenCount - metrics["ratio/mean"])).toBeLessThan(1e-9)
        const changes = rows.flat().flatMap(({ tokens }) => tokens.map(({ change }) => Math.abs(change)))
        expect(Math.abs(program.gap - Math.max(...changes))).toBeLessThan(1e-9)
      }),
      { numRuns: 200 }
    )
  })

  it("clipped, cuts a token off where it has moved too far in the direction of its advantage, and only there", () => {
    const token = (r: number) => ({ behaviour: -1, change: Math.log(r) })
    const loss = Loss.clipped({ low: 0.2, high: 0.28 })
    const given = arrays([
      [
        { advantage: 2, tokens: [token(1), token(1.25), token(1.3), token(0.5)] },
        { advantage: -2, tokens: [token(1), token(0.85), token(0.7), token(1.5)] }
      ]
    ])
    const { gradient, cut } = traced(loss, given, 8)
    const expected = [-2 / 8, (-2 * 1.25) / 8, 0, (-2 * 0.5) / 8, 0, 2 / 8, (2 * 0.85) / 8, 0, (2 * 1.5) / 8, 0]
    expect(gap(gradient, expected)).toBeLessThan(1e-9)
    expect(cut).toBe(2)
  })

  it("truncated, learns from every token, by its importance up to the cap", () => {
    const token = (r: number) => ({ behaviour: -1, change: Math.log(r) })
    const given = arrays([
      [
        { advantage: 2, tokens: [token(1), token(1.5), token(4), token(0.5)] },
        { advantage: -2, tokens: [token(1), token(1.5), token(4), token(0.5)] }
      ]
    ])
    const { gradient, cut } = traced(Loss.truncated({ cap: 2 }), given, 8)
    const up = [1, 1.5, 2, 0.5, 0].map((weight) => (weight * 2) / 8)
    expect(gap(gradient, [...up.map((slope) => -slope), ...up])).toBeLessThan(1e-9)
    expect(cut).toBe(2)
  })

  it("reads nothing off the completions, not even infinities or NaN", () => {
    const garbage = fc.constantFrom<readonly [number, number]>(
      [-Infinity, 0],
      [-1e30, 0],
      [0, -Infinity],
      [-Infinity, -Infinity],
      [800, -800],
      [NaN, 0]
    )
    fc.assert(
      fc.property(batches, losses, garbage, (rows, loss, off) => {
        const clean = arrays(rows)
        expect(traced(loss, arrays(rows, off), clean.tokenCount)).toEqual(traced(loss, clean, clean.tokenCount))
      })
    )
  })

  it("of micro-batches adds up to that of the whole batch, in any order", () => {
    fc.assert(
      fc.property(batches, losses, fc.nat(), (rows, loss, turn) => {
        const whole = arrays(rows)
        const one = traced(loss, whole, whole.tokenCount)
        const parts = rows.map((own) => traced(loss, arrays([own]), whole.tokenCount))
        const from = turn % rows.length
        const turned = [...parts.slice(from), ...parts.slice(0, from)]
        const sum = (f: (part: ReturnType<typeof traced>) => number) =>
          turned.reduce((total, part) => total + f(part), 0)
        expect(sum(({ value }) => value)).toBeCloseTo(one.value, 12)
        expect(sum(({ kl }) => kl)).toBeCloseTo(one.kl, 12)
        expect(sum(({ cut }) => cut)).toBe(one.cut)
        expect(parts.flatMap(({ gradient }) => Array.from(gradient))).toEqual(Array.from(one.gradient))
        expect(Math.max(...parts.map((part) => part.gap))).toBe(one.gap)
      })
    )
  })
})

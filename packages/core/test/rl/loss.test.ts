import { describe, expect, test } from "vitest"
import * as fc from "fast-check"
import { utf8 } from "../../src/prompt/bytes.ts"
import { scored } from "../../src/reward/Verdict.ts"
import { type Batch, pack } from "../../src/rl/Batch.ts"
import type { AdvantagedGroup } from "../../src/rl/Group.ts"
import { k1, k2, k3, ratio } from "../../src/rl/importance.ts"
import * as Loss from "../../src/rl/loss.ts"
import { at, behaviourLogprobs, type Current, currentLogprobs } from "../../src/rl/Logprobs.ts"
import { arbitraries } from "../../src/testing/index.ts"

const frame = { head: new Int32Array(0), tail: Int32Array.of(1) }

interface Row {
  readonly advantage: number
  readonly tokens: ReadonlyArray<{ readonly behaviour: number; readonly change: number }>
}

/** A batch of one document with a branch per row, and the log-probabilities that changed since sampling. */
const batchOf = (rows: ReadonlyArray<Row>): { readonly batch: Batch; readonly logprobs: Current<Float64Array> } => {
  const problem = {
    id: "p",
    document: { id: "d", tokens: Int32Array.of(1, 2) },
    anchor: 1,
    continuation: { bytes: utf8("x"), boundaries: [1] }
  }
  const group: AdvantagedGroup = {
    problem,
    excluded: 0,
    rollouts: rows.map(({ advantage, tokens }, index) => ({
      rollout: {
        id: `${index}`,
        problem,
        index,
        policyVersion: arbitraries.policyVersion,
        completion: { tokens: new Int32Array(tokens.length), ended: "stop" },
        behaviourLogprobs: behaviourLogprobs(Float32Array.from(tokens, ({ behaviour }) => behaviour)),
        temperature: 1,
        bytes: new Uint8Array(tokens.length)
      },
      prediction: { outcome: "truncated" },
      verdict: scored(0, {}),
      advantage
    }))
  }
  const batch = pack(frame, [group])
  // Off the completions stands garbage, as a model may well predict it there: nothing may read it.
  const logprobs = Float64Array.from(batch.branches.mask, (m, i) => (m === 0 ? NaN : batch.behaviourLogprobs[i]))
  rows.forEach(({ tokens }, row) =>
    tokens.forEach(({ change }, i) => (logprobs[row * batch.branches.length + batch.branches.tailLength + i] += change))
  )
  return { batch, logprobs: currentLogprobs(logprobs) }
}

const token = (r: number) => ({ behaviour: -1, change: Math.log(r) })
const loss = Loss.clipped({ low: 0.2, high: 0.28 })
const completionsOnly = (batch: Batch, gradient: Float64Array) =>
  gradient.filter((_, i) => batch.branches.mask[i] === 1)

const rows = fc.array(
  fc.record({
    advantage: arbitraries.reward,
    tokens: fc.array(
      fc.record({
        behaviour: fc.double({ min: -6, max: 0, noNaN: true }),
        change: fc.double({ min: -1, max: 1, noNaN: true })
      }),
      { maxLength: 5 }
    )
  }),
  { minLength: 1, maxLength: 4 }
)

describe("the clipped loss", () => {
  // Worked by hand: 1 - low = 0.8, 1 + high = 1.28.
  const cases: ReadonlyArray<readonly [what: string, r: number, A: number, value: number, gradient: number]> = [
    ["is the plain policy gradient on policy", 1, 2, -2, -2],
    ["counts the ratio within the range", 1.25, 2, -2.5, -2.5],
    ["stops rewarding a token that has become likely enough", 1.5, 2, -2.56, 0],
    ["goes on punishing a token that has become more likely", 1.5, -2, 3, 3],
    ["stops punishing a token that has become rare enough", 0.5, -2, 1.6, 0],
    ["goes on rewarding a token that has become rare", 0.5, 2, -1, -1],
    ["is silent without an advantage", 1.1, 0, 0, 0]
  ]
  test.each(cases)("%s (ratio %d, advantage %d)", (_, r, advantage, value, gradient) => {
    const { batch, logprobs } = batchOf([{ advantage, tokens: [token(r)] }])
    const result = Loss.reference(loss, batch, logprobs)
    expect(result.value).toBeCloseTo(value, 6)
    expect(completionsOnly(batch, result.gradient)[0]).toBeCloseTo(gradient, 6)
    expect(result.metrics.clipfrac).toBe(gradient === 0 && advantage !== 0 ? 1 : 0)
  })

  test("is a mean over the tokens of the batch, not over its rollouts", () => {
    const { batch, logprobs } = batchOf([
      { advantage: 1, tokens: [token(1), token(1), token(1)] },
      { advantage: -1, tokens: [token(1)] }
    ])
    expect(Loss.reference(loss, batch, logprobs).value).toBeCloseTo(-(3 - 1) / 4, 12)
  })

  test("has the gradient that finite differences find", () => {
    fc.assert(
      fc.property(rows, (rows) => {
        const { batch, logprobs } = batchOf(rows)
        const { gradient } = Loss.reference(loss, batch, logprobs)
        const valueAt = (i: number, step: number) =>
          Loss.reference(loss, batch, currentLogprobs(logprobs.with(i, logprobs[i] + step))).value
        for (let i = 0; i < logprobs.length; i++) {
          if (batch.branches.mask[i] === 0) {
            expect(gradient[i]).toBe(0)
            continue
          }
          const r = ratio(at(logprobs, i), at(batch.behaviourLogprobs, i))
          if (Math.min(Math.abs(r - 0.8), Math.abs(r - 1.28)) < 1e-4) continue // no derivative at the kinks
          expect(gradient[i]).toBeCloseTo((valueAt(i, 1e-6) - valueAt(i, -1e-6)) / 2e-6, 5)
        }
      })
    )
  })

  test("does not change by how the batch is cut into micro-batches", () => {
    fc.assert(
      fc.property(rows, rows, (left, right) => {
        const whole = batchOf([...left, ...right])
        const expected = Loss.reference(loss, whole.batch, whole.logprobs)
        const parts = [left, right].map((rows) => {
          const { batch, logprobs } = batchOf(rows)
          return { batch, result: Loss.reference(loss, batch, logprobs, whole.batch.tokenCount) }
        })
        expect(parts.reduce((sum, { result }) => sum + result.value, 0)).toBeCloseTo(expected.value, 10)
        for (const name of ["approx_kl", "clipfrac", "ratio/mean"] as const) {
          const total = parts.reduce((sum, { result }) => sum + result.metrics[name], 0)
          expect(total).toBeCloseTo(expected.metrics[name], 10)
        }
        const gradients = parts.flatMap(({ batch, result }) => Array.from(completionsOnly(batch, result.gradient)))
        const wholeGradient = Array.from(completionsOnly(whole.batch, expected.gradient))
        expect(gradients.length).toBe(wholeGradient.length)
        gradients.forEach((g, i) => expect(g).toBeCloseTo(wholeGradient[i], 10))
      })
    )
  })

  test("on policy has ratio 1, no divergence and nothing clipped", () => {
    fc.assert(
      fc.property(rows, (rows) => {
        const still = rows.map((row) => ({ ...row, tokens: row.tokens.map((each) => ({ ...each, change: 0 })) }))
        const { batch, logprobs } = batchOf(still)
        const { metrics, value } = Loss.reference(loss, batch, logprobs)
        fc.pre(batch.tokenCount > 0)
        expect(metrics.approx_kl).toBe(0)
        expect(metrics.clipfrac).toBe(0)
        expect(metrics["ratio/mean"]).toBeCloseTo(1, 12)
        const mean = rows.reduce((sum, { advantage, tokens }) => sum + advantage * tokens.length, 0) / batch.tokenCount
        expect(value).toBeCloseTo(-mean, 10)
      })
    )
  })

  test("of a batch without tokens is zero, not NaN", () => {
    const { batch, logprobs } = batchOf([{ advantage: 1, tokens: [] }])
    const result = Loss.reference(loss, batch, logprobs)
    expect(result.value).toBe(0)
    expect(result.gradient.every((g) => g === 0)).toBe(true)
    expect(Object.values(result.metrics).every(Number.isFinite)).toBe(true)
  })

  test("refuses a range that is none", () => {
    expect(() => Loss.clipped({ low: 1, high: 0.2 })).toThrow("low is 1: it must be at least 0, below 1")
    expect(() => Loss.truncated({ cap: 0.9 })).toThrow("cap is 0.9: it must be at least 1")
    expect(() => Loss.clipped({ low: 0.2, high: NaN })).toThrow("high is NaN: it must be at least 0")
  })
})

describe("estimators of the divergence", () => {
  test("average to the divergence of two known distributions", () => {
    const behaviour = [0.5, 0.3, 0.2]
    const current = [0.4, 0.4, 0.2]
    const exact = 0.5 * Math.log(0.5 / 0.4) + 0.3 * Math.log(0.3 / 0.4)
    const expected = (k: typeof k1) =>
      behaviour.reduce(
        (sum, q, i) => sum + q * k(currentLogprobs(Math.log(current[i])), behaviourLogprobs(Math.log(q))),
        0
      )
    expect(expected(k1)).toBeCloseTo(exact, 12)
    expect(expected(k3)).toBeCloseTo(exact, 12)
    expect(expected(k2)).toBeCloseTo(exact, 2) // biased, close for close policies
  })

  test("k3 is never negative, not even by rounding", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -30, max: 0 }),
        fc.double({ min: -1, max: 1 }),
        fc.integer({ min: 0, max: 20 }),
        (q, d, e) => {
          fc.pre(!Number.isNaN(q + d))
          expect(k3(currentLogprobs(q + d * 10 ** -e), behaviourLogprobs(q))).toBeGreaterThanOrEqual(0)
        }
      ),
      { numRuns: 2000 }
    )
  })
})

import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { constant, cosine, learningRate } from "../../src/optim/schedule.ts"

const schedule = fc
  .record({
    peak: fc.double({ min: 1e-7, max: 1, noNaN: true }),
    warmup: fc.nat(50),
    after: fc.integer({ min: 1, max: 200 }),
    floorShare: fc.double({ min: 0, max: 1, noNaN: true })
  })
  .map(({ peak, warmup, after, floorShare }) => ({
    peak,
    warmup,
    floorShare,
    steps: warmup + after,
    schedule: cosine(peak, { steps: warmup + after, warmup, floorShare })
  }))

describe("a learning rate schedule", () => {
  it("agrees with transformers' cosine with warm-up", () => {
    const rates = [1, 5, 10, 11, 55, 99, 100].map((step) =>
      learningRate(cosine(3e-4, { steps: 100, warmup: 10 }), step)
    )
    // transformers 5.18, get_cosine_schedule_with_warmup(optimizer, 10, 100)
    const golden = [3e-5, 1.5e-4, 3e-4, 0.00029990862405286433, 1.5e-4, 9.137594713563568e-8, 0]
    rates.forEach((rate, i) => expect(Math.abs(rate - golden[i])).toBeLessThan(1e-15))
  })

  it("rises in equal steps to the peak, which it reaches at the end of the warm-up", () => {
    fc.assert(
      fc.property(schedule, ({ peak, warmup, schedule }) => {
        for (let step = 1; step < warmup; step++) {
          expect(learningRate(schedule, step)).toBeCloseTo((peak * step) / warmup, 12)
        }
        if (warmup > 0) expect(learningRate(schedule, warmup)).toBeCloseTo(peak, 12)
      })
    )
  })

  it("then never rises again, and ends and stays at the floor", () => {
    fc.assert(
      fc.property(schedule, ({ peak, warmup, steps, floorShare, schedule }) => {
        for (let step = Math.max(1, warmup); step < steps + 3; step++) {
          expect(learningRate(schedule, step + 1)).toBeLessThanOrEqual(learningRate(schedule, step) * (1 + 1e-12))
        }
        expect(learningRate(schedule, steps)).toBe(floorShare * peak)
        expect(learningRate(schedule, steps + 1000)).toBe(floorShare * peak)
      })
    )
  })

  it("moves in its first update, with and without warm-up", () => {
    fc.assert(fc.property(schedule, ({ schedule, steps }) => steps === 1 || learningRate(schedule, 1) > 0))
    expect([1, 2, 3, 4].map((step) => learningRate(constant(0.3, 3), step))).toEqual([
      expect.closeTo(0.1),
      expect.closeTo(0.2),
      0.3,
      0.3
    ])
    expect(learningRate(constant(0.3), 1)).toBe(0.3)
  })
})

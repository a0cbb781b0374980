import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import * as fc from "fast-check"
import { Restart } from "@foretoken/core"

const policy = fc.record({
  budget: fc.nat(6),
  window: fc.integer({ min: 1, max: 1000 }),
  backoff: fc.record({ first: fc.nat(50), factor: fc.integer({ min: 1, max: 3 }), max: fc.nat(200) })
})
const gaps = fc.array(fc.nat(300), { minLength: 1, maxLength: 30 })

/** Feeds crashes to the policy until it is spent; returns the times and the verdicts. */
const replay = (restart: Restart.Restart, gaps: ReadonlyArray<number>) => {
  const times: Array<number> = []
  const verdicts: Array<Restart.Verdict> = []
  let now = 0
  for (const gap of gaps) {
    times.push((now += gap))
    verdicts.push(Restart.afterCrash(restart, verdicts.at(-1)?.crashes ?? [], now))
    if (verdicts.at(-1)?._tag === "Spent") break
  }
  return { times, verdicts }
}

it("a budget is spent by exactly the first crash that makes more than `budget` within one window", () => {
  fc.assert(
    fc.property(policy, gaps, (restart, gaps) => {
      const { times, verdicts } = replay(restart, gaps)
      times.forEach((now, i) => {
        const inWindow = times.slice(0, i + 1).filter((time) => now - time < restart.window).length
        expect(verdicts[i]._tag).toBe(inWindow > restart.budget ? "Spent" : "Again")
      })
    })
  )
})

it("the delay grows by the factor with each crash in the window, up to the maximum, and starts anew after it", () => {
  const restart: Restart.Restart = {
    budget: 10,
    window: "10 seconds",
    backoff: { first: "100 millis", factor: 3, max: "1 second" }
  }
  const { verdicts } = replay(restart, [0, 0, 0, 0, 10_000])
  expect(verdicts.map((verdict) => (verdict._tag === "Again" ? Duration.toMillis(verdict.delay) : -1))).toEqual([
    100, 300, 900, 1000, 100
  ])
})

import { describe, expect, it } from "vitest"
import { simulate } from "../../src/testing/index.ts"
import { findingOf, plantedBugs } from "./plantedRuns.ts"

describe("a simulation", () => {
  it("finds nothing wrong with the pipeline, under faults of every kind", async () => {
    const { check, counts } = simulate(() => ({}), { seed: 11, runs: 150 })
    await check()
    const { schedules, lives, resumes, hits } = counts()
    expect(schedules).toBe(150)
    expect(lives).toMatchObject({ stuck: 0, ended: 0 })
    expect(lives.done).toBe(150)
    expect(Math.min(lives.died, lives.failed, lives.stopped, resumes)).toBeGreaterThan(2)
    // One in which nothing was injected would show nothing.
    expect(Object.keys(hits).length).toBeGreaterThanOrEqual(15)
  }, 60_000)

  it("is the same again with the same seed", async () => {
    const [first, second] = [1, 2].map(() => simulate(() => ({}), { seed: 3, runs: 12 }))
    await first.check()
    await second.check()
    expect(first.counts()).toEqual(second.counts())
    expect(first.counts().messages).toBeGreaterThan(300)
  })

  it("counts from nothing for each simulation", () => {
    expect(simulate().counts()).toMatchObject({ schedules: 0, resumes: 0, hits: {} })
  })
})

describe("a planted bug is found and shrunk to a schedule that a person can read:", () => {
  for (const { name, seed, parts, settings, says } of plantedBugs) {
    it(
      name,
      async () => {
        const { finding, schedules, faults } = await findingOf(parts, { seed, runs: 2000, ...settings })
        expect(finding).toMatch(says)
        expect(schedules).toBeLessThanOrEqual(2000)
        expect(faults.length, faults.join("\n")).toBeLessThanOrEqual(2)
      },
      60_000
    )
  }

  it("the report says what is wrong, and what it takes, in a few lines", async () => {
    const { settings, parts } = plantedBugs[4]
    const { finding } = await findingOf(parts, { seed: 5, runs: 2000, ...settings })
    expect(finding.split("\n\n").slice(0, 2).join("\n\n")).toMatchInlineSnapshot(`
      "the rollouts of unit 2 are not those of the policy that they claim to be from

        1 sampler, lag 0, a checkpoint every step, first come, first served
        life 1, message Sample 2 (sampler-0, unit 2): the actor crashes before it begins"
    `)
    expect(finding).toContain("-> message")
    expect(finding).toMatch(/To see it again:\n\{ seed: 5, path: ".*" \}$/)
  })
})

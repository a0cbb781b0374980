import { describe, expect, test } from "vitest"
import type { Advantage } from "../../src/rl/advantage.ts"
import type { Reward } from "../../src/reward/index.ts"
import { type Law, laws, type LawSettings, type TestedLoss } from "../../src/testing/index.ts"
import { plantedAdvantage, plantedLosses } from "./plantedLosses.ts"
import { type Planted, plantedRewards } from "./plantedRewards.ts"

/** The report of a law, or "holds". */
const reportOf = ({ check }: Law): Promise<string> =>
  check().then(
    () => "holds",
    (error) => error.message
  )

const cases = [
  ...plantedRewards.map(withLaws((reward: Reward, settings) => laws.reward(reward, settings))),
  ...[plantedAdvantage].map(withLaws((advantage: Advantage, settings) => laws.advantage(advantage, settings))),
  ...plantedLosses.map(withLaws((loss: TestedLoss, settings) => laws.loss(loss, settings)))
]

function withLaws<Subject>(of: (subject: Subject, settings: LawSettings) => ReadonlyArray<Law>) {
  return ({ bug, law, wrong, right, explains }: Planted<Subject>) => ({
    bug,
    explains,
    /** The law that has to catch it, at most 2,000 cases. */
    catching: (seed: number) => of(wrong, { runs: 2000, seed }).find(({ name }) => name.endsWith(law))!,
    lawsOfRight: of(right, { runs: 100 })
  })
}

test("there are twelve planted bugs", () => {
  expect(new Set(cases.map(({ bug }) => bug)).size).toBe(12)
})

describe.each(cases)("a bug: $bug", ({ explains, catching, lawsOfRight }) => {
  test.each([1, 2, 3])(
    "is caught within 2,000 cases, with a counterexample that explains it (seed %i)",
    async (seed) => {
      const report = await reportOf(catching(seed))
      for (const line of explains) expect(report).toMatch(line)
      expect(report).toContain(`{ seed: ${seed}, path: "`)
      // Small: one rollout, or as many as it takes, and few tokens.
      expect(report.match(/^ +rollout /gm)?.length ?? 0).toBeLessThanOrEqual(2)
      for (const [tokens] of report.matchAll(/^ +tokens .*/gm))
        expect(tokens.split(/ \| |, /).length).toBeLessThanOrEqual(3)
    }
  )

  test("is not found in the version that is right", async () => {
    for (const law of lawsOfRight) expect(await reportOf(law), law.name).toBe("holds")
  })
})

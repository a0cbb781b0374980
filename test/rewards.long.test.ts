import { Reward } from "@foretoken/core"
import { expect, test } from "vitest"
import { agreement } from "../packages/core/test/testing/prefixAgreement.ts"

test.each(["boxed", "compact"] as const)(
  "prefixMatch agrees with the oracle on 100,000 generated completions (%s)",
  async (markup) => {
    const { cases, wins } = await agreement(Reward.prefixMatch, markup, 100_000)
    expect(cases).toBeGreaterThanOrEqual(100_000)
    expect(wins / cases).toBeGreaterThan(0.1)
  }
)

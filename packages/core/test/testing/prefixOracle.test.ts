import { describe, expect, test } from "vitest"
import { prefixMatch } from "../../src/reward/index.ts"
import { plantedRewards } from "./plantedRewards.ts"
import { agreement } from "./prefixAgreement.ts"
import { prefixOracle } from "./prefixOracle.ts"

const bytes = (text: string) => Uint8Array.from(Buffer.from(text))

describe("the oracle of the prefix reward", () => {
  test("knows the example of the paper's definition: of [c3] [a9] [ab], é and éab win, éa does not", () => {
    const tokens = [Uint8Array.of(0xc3), Uint8Array.of(0xa9), bytes("ab")]
    const worth = (answer: string) => prefixOracle("boxed", tokens, bytes(`thought</think>\\boxed{${answer}}`))
    expect(["é", "éa", "éab", "", "éabc"].map(worth)).toEqual([1, 0, 1, 0, 0])
  })

  test("takes the last box after the last end of thinking, and balances braces", () => {
    const worth = (completion: string) => prefixOracle("boxed", [bytes("{x}")], bytes(completion))
    expect(worth("</think>\\boxed{{x}}")).toBe(1)
    expect(worth("</think>\\boxed{y}\\boxed{{x}}")).toBe(1)
    expect(worth("</think>\\boxed{{x}}\\boxed{y}")).toBe(0)
    expect(worth("</think>\\boxed{{x}}</think>")).toBe(0)
    expect(worth("\\boxed{{x}}")).toBe(0)
    expect(worth("</think>\\boxed{{x}")).toBe(0)
    expect(prefixOracle("compact", [bytes("a")], bytes("t</think>a<|end|>b<|end|>"))).toBe(1)
    expect(prefixOracle("compact", [bytes("a")], bytes("t</think>a"))).toBe(0)
  })

  test.each(["boxed", "compact"] as const)(
    "agrees with prefixMatch on 4,000 generated completions (%s)",
    async (markup) => {
      const { cases, wins } = await agreement(prefixMatch, markup, 4000)
      expect(wins / cases).toBeGreaterThan(0.1)
      expect(wins / cases).toBeLessThan(0.6)
    }
  )

  test.each(plantedRewards.filter(({ bug }) => !bug.includes("dropped")))(
    "does not agree with a reward in which $bug",
    async ({ wrong }) => {
      await expect(agreement(wrong, "boxed", 20_000)).rejects.toThrow(/rollout \d is worth/)
    }
  )
})

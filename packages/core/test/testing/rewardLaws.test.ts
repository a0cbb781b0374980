import { describe, expect, test } from "vitest"
import { Effect } from "effect"
import { boxed, compact } from "../../src/prompt/Template.ts"
import * as Reward from "../../src/reward/index.ts"
import { LawBroken, laws } from "../../src/testing/index.ts"

const { pure, verifier } = Reward
const answered = (rollout: Parameters<Reward.PureScore>[0]) => (rollout.prediction.outcome === "answered" ? 1 : 0)

/** Rewards that break one law each, and what the report has to say. */
const sabotage: ReadonlyArray<readonly [law: string, reward: Reward.Reward, says: RegExp]> = [
  [
    "gives one verdict per rollout",
    Reward.make("twice", ({ rollouts }) => Effect.succeed([...rollouts, ...rollouts].map(() => Reward.scored(1, {})))),
    /twice gave 2 verdicts for 1 rollouts/
  ],
  [
    "never throws, fails or hangs",
    pure("decodes", ({ rollout }) => new TextDecoder("utf-8", { fatal: true }).decode(rollout.bytes).length),
    /decodes threw: .*\n\n(.*\n)* +rollout 0 +".*‹[89a-f].›/
  ],
  [
    "gives finite values",
    pure("inverse", ({ rollout }) => 1 / rollout.bytes.length),
    /inverse gave Infinity(.*\n)* +rollout 0 +""/
  ],
  [
    "leaves the group as it was",
    pure("clears", ({ rollout }) => rollout.bytes.fill(0).length),
    /the reward wrote into the group that it was given/
  ],
  [
    "does not depend on padding",
    pure("reads the buffer", ({ rollout }) => rollout.bytes.buffer.byteLength),
    /rollout 0 gets \d+, but \d+ when its bytes are a view/
  ],
  [
    "gives values from 0 to 1",
    pure("length", ({ rollout }) => rollout.bytes.length, { bounds: { low: 0, high: 1 } }),
    /rollout 0 earns \d\d, which is not from 0 to 1/
  ],
  ...(
    [
      ["truncated", "a truncated thought"],
      ["no-box", "a completion without a box"],
      ["malformed", "an answer that is never closed"],
      ["empty", "an empty prediction"]
    ] as const
  ).map(([outcome, named]): (typeof sabotage)[number] => [
    `gives nothing for ${named}`,
    pure("lenient", ({ prediction }) => (prediction.outcome === outcome ? 1 : 0), verifier),
    new RegExp(`rollout 0 earns 1 for none \\(${outcome}\\)`)
  ]),
  [
    "pays no more for appended text",
    pure("substring", ({ rollout }, { continuation }) => (rollout.bytes.at(-1) === continuation.bytes.at(-1) ? 1 : 0), {
      noGain: ["appended"]
    }),
    /rollout 0 earns 0, and 1 with ".*" .* behind the answer(.*\n)* +edited/
  ],
  [
    "pays no more for a thought said twice",
    pure("thorough", ({ rollout }) => rollout.bytes.length, { noGain: ["repetition"] }),
    /rollout 0 earns \d+, and \d+ with ".+" .* said twice/
  ],
  [
    "pays no more for quoting the context",
    pure("starts well", ({ rollout }) => (rollout.bytes[0] === 0x61 ? 1 : 0), { noGain: ["quotation"] }),
    /rollout 0 earns 0, and 1 with "a.*" .* quoted from the context/
  ]
]

describe("laws.reward", () => {
  test.each(sabotage)("%s: says what is wrong with one that does not", async (law, reward, says) => {
    const found = laws.reward(reward, { runs: 2000, seed: 1 }).find(({ name }) => name === `${reward.name} ${law}`)
    const report: unknown = await found!.check().catch((error) => error)
    expect(report).toBeInstanceOf(LawBroken)
    expect((report as LawBroken).message).toMatch(says)
  })

  test("asks of a reward what it claims, and no more", () => {
    const names = (reward: Reward.Reward) => laws.reward(reward).map(({ name }) => name.slice(reward.name.length + 1))
    expect(names(pure("any", answered))).toEqual([
      "gives one verdict per rollout",
      "never throws, fails or hangs",
      "gives finite values",
      "leaves the group as it was",
      "gives the same verdicts when asked again",
      "does not depend on the order of the group",
      "does not depend on padding"
    ])
    expect(names(pure("random", answered, { deterministic: false }))).toHaveLength(4)
    const claimed = names(pure("claimed", answered, Reward.prefixVerifier))
    expect(claimed).toContain("gives values from 0 to 1")
    expect(claimed).toContain("pays for nothing but a prefix on a token boundary")
    expect(claimed).toContain("pays for every prefix on a token boundary")
    expect(claimed).toContain("gives nothing for a truncated thought")
  })

  test("a report can be seen again, from its seed and path", async () => {
    const reward = pure("lenient", ({ prediction }) => (prediction.outcome === "empty" ? 1 : 0), verifier)
    const check = (replay: { seed?: number; path?: string }) =>
      laws
        .reward(reward, replay)
        .find(({ name }) => name.endsWith("an empty prediction"))!
        .check()
        .then(
          () => "holds",
          (error) => error.message
        )
    const report = await check({})
    const [, seed, path] = /\{ seed: (-?\d+), path: "(.*)" \}/.exec(report)!
    const again = await check({ seed: Number(seed), path })
    expect(again.split("Property failed")[0]).toBe(report.split("Property failed")[0])
    expect(again).toContain("failed after 1 tests, shrunk 0 times")
  })

  describe.each([boxed, compact])("hold of the rewards of this house ($name)", (template) => {
    for (const reward of [Reward.prefixMatch, Reward.clamp(Reward.prefixMatch, 0, 0.5)]) {
      for (const { name, check } of laws.reward(reward, { template, runs: 50 })) test(name, check)
    }
  })
})

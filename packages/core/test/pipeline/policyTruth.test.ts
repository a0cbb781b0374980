import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { problemAt } from "../../src/data/NextToken.ts"
import { document } from "../../src/data/Synthetic.ts"
import { makeModelConfig } from "../../src/model/ModelConfig.ts"
import { makeScorer } from "../../src/model/Scorer.ts"
import type { KeptWeights, Weights } from "../../src/model/weights.ts"
import { initialWeights, weightsHash } from "../../src/model/weights.ts"
import { leadToAnswer } from "../../src/pipeline/leadToAnswer.ts"
import type { Policy } from "../../src/pipeline/messages.ts"
import { followPolicy } from "../../src/pipeline/followPolicy.ts"
import { makePolicyTruth } from "../../src/pipeline/policyTruth.ts"
import { makeRunContext } from "../../src/pipeline/RunContext.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import { boxed, compact } from "../../src/prompt/Template.ts"
import * as Reward from "../../src/reward/index.ts"
import type { RolloutGroup } from "../../src/rl/Group.ts"
import { parseAll } from "../../src/rl/Group.ts"
import { behaviourLogprobs, PolicyVersion, type Rollout } from "../../src/rl/Rollout.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { makeProgramCache } from "../../src/tensor/ProgramCache.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { policy as loaded } from "./fixtures.ts"

const { config } = loaded.stored
const { tokenizer } = loaded
const context = makeRunContext({ seed: 1, config, tokenizer, template: compact })

const policyOf = (weights: KeptWeights): Policy => ({
  version: PolicyVersion.make(weightsHash(weights)),
  updates: 0,
  weights
})
/** Weights far enough from uniform that every token has a probability of its own. */
const sharp = (seed: number): Weights =>
  Object.fromEntries(
    Object.entries(initialWeights(config, seed)).map(([name, { shape, data }]) => [
      name,
      HostTensor.f32(shape, name.endsWith("norm.weight") ? data : data.map((x) => 12 * x))
    ])
  )
const policy = policyOf(sharp(3))

const id = (content: string): number => tokenizer.tokenId(content)!
const [thinkEnd, end] = [id("</think>"), id("<|end|>")]
const text = document({ seed: 1, split: "train", index: 4 })
const problem = problemAt(tokenizer, text, 21, 4)

const rolloutOf = (tokens: ReadonlyArray<number>, index: number, ended: "stop" | "length" = "stop"): Rollout => ({
  id: `${problem.id}/${index}`,
  problem,
  index,
  policyVersion: policy.version,
  completion: { tokens: Int32Array.from(tokens), ended },
  behaviourLogprobs: behaviourLogprobs(new Float32Array(tokens.length)),
  temperature: 1,
  bytes: tokenizer.bytesOf(tokens)
})
const thoughts: ReadonlyArray<ReadonlyArray<number>> = [[], [5, 9, 7], [11], [5, 9, 7, 30, 31, 12]]
const group: RolloutGroup = {
  problem,
  rollouts: [
    ...thoughts.map((thought, i) => rolloutOf([...thought, thinkEnd, 8, end], i)),
    rolloutOf([5, 9], thoughts.length, "length")
  ]
}

/** log p(tokens | before), each token by a plain reading of all that stands before it: no trunk, no branches. */
const plainly = Effect.fnUntraced(function* (weights: KeptWeights, before: ReadonlyArray<number>, tokens: Int32Array) {
  const scorer = yield* makeScorer(config, yield* makeProgramCache)
  const all = Int32Array.from([...before, ...tokens])
  const { logprobs } = yield* scorer.score(weights, { documents: 1, length: all.length, tokens: all })
  return Array.from(tokens, (_, i) => logprobs[before.length - 1 + i])
})
const sum = (xs: ReadonlyArray<number>) => xs.reduce((a, b) => a + b, 0)
const valuesOf = (reward: Reward.Reward<unknown, Reward.Truth>, given: Policy, options?: Verifier.VerifierOptions) =>
  Effect.gen(function* () {
    const { Verify } = yield* Verifier.make(reward, options).make(context)
    const [{ rollouts }] = yield* Verify({ groups: [group], policy: given, baseline: given })
    return rollouts.map(({ verdict }) => (verdict._tag === "Scored" ? verdict.value : verdict.reason))
  })

describe("the truth as a policy finds it", () => {
  for (const tokens of [1, 3]) {
    it.effect(
      `is the product of the next-token probabilities of ${tokens} true tokens behind thought and opening`,
      () =>
        Effect.gen(function* () {
          const values = yield* valuesOf(Reward.dense({ tokens }), policy)
          const truth = text.tokens.subarray(problem.anchor, problem.anchor + tokens)
          const expected: Array<number> = []
          for (const thought of thoughts) {
            const before = [
              ...context.frame.head,
              ...text.tokens.subarray(0, problem.anchor),
              ...context.frame.tail,
              ...thought,
              thinkEnd
            ]
            const each = (yield* plainly(policy.weights, before, truth)).map(Math.exp)
            expected.push(each.reduce((product, probability) => product * probability, 1))
          }
          expect(new Set(expected.map((p) => p.toPrecision(6))).size).toBe(thoughts.length)
          expected.forEach((probability, i) => expect(Number(values[i]) / probability).toBeCloseTo(1, 5))
          expect(values[thoughts.length]).toBe(0)
        }).pipe(Effect.scoped, Effect.provide(Reference.layer))
    )
  }

  it.effect("ends with the document where more tokens are asked than it has", () =>
    Effect.gen(function* () {
      const truthOf = yield* makePolicyTruth(context)
      const last = problemAt(tokenizer, text, text.tokens.length - 1, 4)
      const { baseline, afterThought } = truthOf(policy, policy)
      expect(yield* baseline(last, 5)).toBe(yield* baseline(last, 1))
      const one = parseAll(compact, { ...group, problem: last })
      expect(yield* afterThought(one, 5)).toEqual(yield* afterThought(one, 1))
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("is unknown where learned positions end before it, and only there", () =>
    Effect.gen(function* () {
      const { head, tail } = context.frame
      const features = {
        family: "gpt2",
        norm: { _tag: "layer", eps: 1e-5 },
        positions: { _tag: "learned" },
        mlp: { _tag: "gelu", by: "tanh" },
        bias: { qkv: true, output: true, mlp: true }
      } as const
      // Room for thoughts of up to 3 tokens and what opens an answer.
      const maxPositions = head.length + problem.anchor + tail.length + 4 + 1
      const gpt2 = Result.getOrThrow(makeModelConfig({ ...config, ...features, kvHeads: config.heads, maxPositions }))
      const truthOf = yield* makePolicyTruth(makeRunContext({ seed: 1, config: gpt2, tokenizer, template: compact }))
      const learned = policyOf(initialWeights(gpt2, 1))
      const values = yield* truthOf(learned, learned).afterThought(parseAll(compact, group), 1)
      expect(values.map(Number.isFinite)).toEqual([true, true, true, false, true])
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("has a baseline whose weights trail the policy's: decay · old + (1 - decay) · new, once a version", () =>
    Effect.gen(function* () {
      const truthOf = yield* makePolicyTruth(context)
      const later = sharp(9)
      const next = policyOf(later)
      const mixed = Object.fromEntries(
        Object.entries(sharp(3)).map(([name, { shape, data }]) => [
          name,
          HostTensor.f32(
            shape,
            data.map((old, i) => 0.75 * old + 0.25 * later[name].data[i])
          )
        ])
      )
      const truth = text.tokens.subarray(problem.anchor, problem.anchor + 2)
      const before = [...context.frame.head, ...text.tokens.subarray(0, problem.anchor)]
      const plain = (weights: KeptWeights) => Effect.map(plainly(weights, before, truth), sum)
      expect(yield* truthOf(policy, policy).baseline(problem, 2)).toBeCloseTo(yield* plain(policy.weights), 5)
      const once = followPolicy(policy, next, 0.75)
      for (const baseline of [once, followPolicy(once, next, 0.75)]) {
        expect(yield* truthOf(next, baseline).baseline(problem, 2)).toBeCloseTo(yield* plain(mixed), 5)
      }
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("gives informationGain: the thought's log-probability over the baseline's", () =>
    Effect.gen(function* () {
      const values = yield* valuesOf(Reward.informationGain({ limit: 100 }), policy)
      const truth = text.tokens.subarray(problem.anchor, problem.anchor + 1)
      const own = [...context.frame.head, ...text.tokens.subarray(0, problem.anchor)]
      const [baseline] = yield* plainly(policy.weights, own, truth)
      const [after] = yield* plainly(policy.weights, [...own, ...context.frame.tail, 5, 9, 7, thinkEnd], truth)
      expect(values[1]).toBeCloseTo(after - baseline, 5)
      expect(values[4]).toBeLessThanOrEqual(0)
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("makes a group unscorable when the model cannot be asked", () =>
    Effect.gen(function* () {
      const { ["model.norm.weight"]: _, ...missing } = policy.weights
      const values = yield* valuesOf(Reward.dense(), { ...policy, weights: missing })
      expect(values[0]).toMatch(/^dense (threw|failed): .*norm/)
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )
})

describe("what leads to an answer", () => {
  /** One token per byte, "</think>" and "\boxed{" among the others only as bytes. */
  const bytewise = {
    template: boxed,
    tokenizer: {
      ...tokenizer,
      bytes: (token: number) => Uint8Array.of(token),
      encodePrompt: (written: string, _place: "opens" | "continues") =>
        Int32Array.from(new TextEncoder().encode(written))
    }
  }
  const lead = (completion: string, ended: "stop" | "length" = "stop") => {
    const bytes = new TextEncoder().encode(completion)
    return Buffer.from(
      leadToAnswer(bytewise, { completion: { tokens: Int32Array.from(bytes), ended }, bytes })
    ).toString()
  }

  it("is the thought, the last think end, and what opens an answer", () => {
    expect(lead("so 4</think> it is \\boxed{4}.")).toBe("so 4</think>\\boxed{")
    expect(lead("a</think>b</think>c")).toBe("a</think>b</think>\\boxed{")
    expect(lead("</think>")).toBe("</think>\\boxed{")
  })

  it("ends a thought that never ended, without the token that stopped it", () => {
    expect(lead("so 4", "length")).toBe("so 4</think>\\boxed{")
    expect(lead("so 4.", "stop")).toBe("so 4</think>\\boxed{")
  })

  it("spells the think end anew where it shares a token with something else", () => {
    const pieces = ["so", " 4</", "think>\n", "\\boxed{4}"].map((piece) => new TextEncoder().encode(piece))
    const { tokenizer } = bytewise
    const tokens = leadToAnswer(
      { template: boxed, tokenizer: { ...tokenizer, bytes: (token) => pieces[token] } },
      { completion: { tokens: Int32Array.of(0, 1, 2, 3), ended: "stop" }, bytes: Buffer.concat(pieces) }
    )
    expect(Array.from(tokens)).toEqual([0, ...tokenizer.encodePrompt("</think>\\boxed{", "continues")])
  })

  it("always ends with an opening of an answer, whatever was written", () => {
    const words = fc.constantFrom("</think>", "</", "think>", "\\boxed{", "a", " ", "}")
    fc.assert(
      fc.property(
        fc.array(words, { maxLength: 8 }),
        fc.constantFrom("stop" as const, "length" as const),
        (said, ended) => {
          const written = lead(said.join(""), ended)
          expect(written.endsWith("</think>\\boxed{")).toBe(true)
          const at = said.join("").lastIndexOf("</think>")
          if (at >= 0) expect(written).toBe(`${said.join("").slice(0, at)}</think>\\boxed{`)
        }
      )
    )
  })
})

import * as fc from "fast-check"
import type { Problem } from "../../data/NextToken.ts"
import { boxed, parse, type Template } from "../../prompt/Template.ts"
import { scored, unscorable, type Verdict } from "../../reward/Verdict.ts"
import { type Group, parseAll, type ParsedGroup } from "../../rl/Group.ts"
import { behaviourLogprobs, type ParsedRollout, PolicyVersion, type Rollout } from "../../rl/Rollout.ts"
import { completionPlan } from "./completion.ts"
import { atLeast } from "./document.ts"
import { problem } from "./problem.ts"
import type { TokenTable } from "./tokenTable.ts"

/** The policy version of every generated rollout. */
export const policyVersion = PolicyVersion.make("0".repeat(64))

/** A parsed group with the table that its document is written in. */
export interface GroupCase {
  readonly table: TokenTable
  readonly group: ParsedGroup
}

/** Groups of 1 to `maxSize` (8) rollouts of one problem, right and wrong in every way that `completion` knows. */
export const groupCase = (template: Template = boxed, maxSize = 8): fc.Arbitrary<GroupCase> =>
  fc
    .record({
      problemCase: problem,
      plans: atLeast(1, fc.record({ plan: completionPlan(template), sampling }), maxSize)
    })
    .map(({ problemCase: { table, problem }, plans }) => ({
      table,
      group: parseAll(template, {
        problem,
        rollouts: plans.map(({ plan, sampling }, index) =>
          rolloutOf(problem, index, plan(problem.continuation).bytes, sampling)
        )
      })
    }))

/** A parsed group of 1 to `maxSize` (8) rollouts. */
export const parsedGroup = (template: Template = boxed, maxSize = 8): fc.Arbitrary<ParsedGroup> =>
  groupCase(template, maxSize).map(({ group }) => group)

/** A group whose verdicts have nothing to do with its completions: for advantages and what follows them. */
export const scoredGroup = (rewards: fc.Arbitrary<number> = reward, maxSize = 8): fc.Arbitrary<Group> => {
  const verdict: fc.Arbitrary<Verdict> = fc.oneof(
    { weight: 6, arbitrary: rewards.map((value) => scored(value, { any: value })) },
    { weight: 1, arbitrary: fc.constant(unscorable("generated")) }
  )
  return fc
    .record({
      group: parsedGroup(boxed, maxSize),
      verdicts: fc.array(verdict, { minLength: maxSize, maxLength: maxSize })
    })
    .map(({ group, verdicts }) => ({
      problem: group.problem,
      rollouts: group.rollouts.map((parsed, i) => ({ ...parsed, verdict: verdicts[i] }))
    }))
}

/** Rewards on a grid of eighths in [-4, 4]: sums of a few are exact, so laws need little tolerance. */
export const reward: fc.Arbitrary<number> = fc.integer({ min: -32, max: 32 }).map((eighths) => eighths / 8)

interface Sampling {
  readonly ended: "stop" | "length"
  /** Nats, repeated along the completion. */
  readonly logprobs: ArrayLike<number>
}

const sampling: fc.Arbitrary<Sampling> = fc.record({
  ended: fc.constantFrom("stop" as const, "length" as const),
  logprobs: fc.array(
    fc.nat(64).map((eighths) => -eighths / 8),
    { minLength: 1, maxLength: 5 }
  )
})

/** The same rollout with other words, as if it had been sampled so. */
export const withBytes = (template: Template, { rollout }: ParsedRollout, bytes: Uint8Array): ParsedRollout => {
  const { problem, index, completion, behaviourLogprobs } = rollout
  const sampling = { ended: completion.ended, logprobs: behaviourLogprobs.length === 0 ? [0] : behaviourLogprobs }
  return { rollout: rolloutOf(problem, index, bytes, sampling), prediction: parse(template, bytes) }
}

/** A rollout that spells its completion byte by byte: token id = byte. */
const rolloutOf = (problem: Problem, index: number, bytes: Uint8Array, { ended, logprobs }: Sampling): Rollout => ({
  id: problem.id,
  problem,
  index,
  policyVersion,
  completion: { tokens: Int32Array.from(bytes), ended },
  behaviourLogprobs: behaviourLogprobs(Float32Array.from(bytes, (_, i) => logprobs[i % logprobs.length])),
  temperature: 1,
  bytes
})

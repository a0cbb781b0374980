import * as fc from "fast-check"
import { boxed, type Template } from "../../prompt/Template.ts"
import { scored, unscorable, type Verdict } from "../../reward/Verdict.ts"
import { type Group, parseAll, type ParsedGroup } from "../../rl/Group.ts"
import { behaviourLogprobs, PolicyVersion, type Rollout } from "../../rl/Rollout.ts"
import type { Problem } from "../../data/NextToken.ts"
import { type CompletionCase, completion } from "./completion.ts"
import { problem } from "./problem.ts"

/** The policy version of every generated rollout. */
export const policyVersion = PolicyVersion.make("0".repeat(64))

/** A parsed group of 1 to `maxSize` (8) rollouts of one problem, right and wrong in every way that `completion` knows. */
export const parsedGroup = (template: Template = boxed, maxSize = 8): fc.Arbitrary<ParsedGroup> =>
  problem.chain(({ problem }) =>
    fc
      .array(rollout(problem, completion(template, problem.continuation)), { minLength: 1, maxLength: maxSize })
      .map((rollouts) =>
        parseAll(template, { problem, rollouts: rollouts.map((rollout, index) => ({ ...rollout, index })) })
      )
  )

/** A group whose verdicts have nothing to do with its completions: for advantages and what follows them. */
export const scoredGroup = (rewards: fc.Arbitrary<number> = reward, maxSize = 8): fc.Arbitrary<Group> => {
  const verdict: fc.Arbitrary<Verdict> = fc.oneof(
    { weight: 6, arbitrary: rewards.map((value) => scored(value, { any: value })) },
    { weight: 1, arbitrary: fc.constant(unscorable("generated")) }
  )
  return parsedGroup(boxed, maxSize).chain((group) =>
    fc.array(verdict, { minLength: group.rollouts.length, maxLength: group.rollouts.length }).map((verdicts) => ({
      problem: group.problem,
      rollouts: group.rollouts.map((parsed, i) => ({ ...parsed, verdict: verdicts[i] }))
    }))
  )
}

/** Rewards on a grid of eighths in [-4, 4]: sums of a few are exact, so laws need little tolerance. */
export const reward: fc.Arbitrary<number> = fc.integer({ min: -32, max: 32 }).map((eighths) => eighths / 8)

/** A rollout that spells its completion byte by byte (token id = byte) with log-probabilities in [-8, 0]. */
const rollout = (problem: Problem, completion: fc.Arbitrary<CompletionCase>): fc.Arbitrary<Rollout> =>
  completion.chain(({ bytes }) =>
    fc
      .record({
        ended: fc.constantFrom("stop" as const, "length" as const),
        logprobs: fc.array(fc.double({ min: -8, max: 0, noNaN: true }), {
          minLength: bytes.length,
          maxLength: bytes.length
        })
      })
      .map(({ ended, logprobs }) => ({
        id: problem.id,
        problem,
        index: 0,
        policyVersion,
        completion: { tokens: Int32Array.from(bytes), ended },
        behaviourLogprobs: behaviourLogprobs(Float32Array.from(logprobs)),
        temperature: 1,
        bytes
      }))
  )

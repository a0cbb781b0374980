import { Effect } from "effect"
import { continuation, type Problem } from "../../src/data/NextToken.ts"
import { utf8 } from "../../src/prompt/bytes.ts"
import { boxed, type Template } from "../../src/prompt/Template.ts"
import * as Reward from "../../src/reward/index.ts"
import { type ParsedGroup, parseAll } from "../../src/rl/Group.ts"
import { behaviourLogprobs } from "../../src/rl/Rollout.ts"
import { arbitraries } from "../../src/testing/index.ts"

/** A problem whose text goes on with `truth`, one token per byte unless its tokens are given. */
const problemOf = (truth: string | ReadonlyArray<string>): Problem => {
  const tokens = (
    typeof truth === "string" ? Array.from(utf8(truth), (byte) => Uint8Array.of(byte)) : truth.map(utf8)
  ) satisfies ReadonlyArray<Uint8Array>
  return {
    id: "d@1",
    document: { id: "d", tokens: Int32Array.from({ length: tokens.length + 1 }, (_, i) => i) },
    anchor: 1,
    continuation: continuation(tokens)
  }
}

/** Completions to a problem, one token per byte. */
export const groupOf = (
  truth: string | ReadonlyArray<string>,
  completions: ReadonlyArray<Uint8Array>,
  template: Template = boxed
): ParsedGroup => {
  const problem = problemOf(truth)
  const rollouts = completions.map((bytes, index) => ({
    id: `d@1/${index}`,
    problem,
    index,
    policyVersion: arbitraries.policyVersion,
    completion: { tokens: Int32Array.from(bytes), ended: "stop" as const },
    behaviourLogprobs: behaviourLogprobs(new Float32Array(bytes.length)),
    temperature: 1,
    bytes
  }))
  return parseAll(template, { problem, rollouts })
}

/** Values of the scored rollouts, reasons of the others. */
export const valuesOf = <R>(reward: Reward.Reward<unknown, R>, group: ParsedGroup) =>
  Effect.map(Reward.judge(reward, group), ({ rollouts }) =>
    rollouts.map(({ verdict }) => (verdict._tag === "Scored" ? verdict.value : verdict.reason))
  )

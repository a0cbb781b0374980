import * as Effect from "effect/Effect"
import type { Problem } from "../data/NextToken.ts"
import type { ParsedGroup } from "../rl/Group.ts"
import type { ParsedRollout } from "../rl/Rollout.ts"
import { type Claims, claims } from "./Claims.ts"
import { scored, type Unscorable, unscorable, type Verdict } from "./Verdict.ts"

/**
 * A reward sees a whole group (rollouts of one problem, parsed) and may ask for a service `R`, such as a model that
 * scores the true continuation. It answers with one verdict per rollout, in the order of the group. What it claims of
 * itself, laws check.
 *
 * Bytes are canonical: compute from `prediction.bytes`, `rollout.bytes` and `problem.continuation`, never from decoded
 * strings.
 */
export interface Reward<out E = never, out R = never> {
  readonly name: string
  readonly claims: Claims
  readonly score: (group: ParsedGroup) => Effect.Effect<ReadonlyArray<Verdict>, E, R>
}

/** A reward of a whole group. */
export const make = <E = never, R = never>(
  name: string,
  score: Reward<E, R>["score"],
  given: Partial<Claims> = {}
): Reward<E, R> => ({ name, claims: claims(given), score })

/** The value of one rollout. */
export type PureScore = (rollout: ParsedRollout, problem: Problem) => number | Unscorable

/**
 * Lifts a pure function of one rollout. Its value is the one part, under the reward's name. Where it throws, that
 * rollout alone is unscorable.
 */
export const pure = (name: string, score: PureScore, given: Partial<Claims> = {}): Reward => {
  const verdictOf = (rollout: ParsedRollout, problem: Problem): Verdict => {
    try {
      const value = score(rollout, problem)
      return typeof value === "object" && value !== null ? value : scored(value, { [name]: value })
    } catch (cause) {
      return unscorable(`${name} threw: ${describe(cause)}`, "threw")
    }
  }
  return make(
    name,
    ({ rollouts, problem }) => Effect.sync(() => rollouts.map((rollout) => verdictOf(rollout, problem))),
    given
  )
}

/** One line for whatever was thrown. */
export const describe = (cause: unknown): string =>
  (cause instanceof Error && cause.message !== "" ? cause.message : String(cause)).replaceAll(/\s*\n\s*/g, " ")

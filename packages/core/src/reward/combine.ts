import * as Effect from "effect/Effect"
import type { Claims } from "./Claims.ts"
import * as derive from "./deriveClaims.ts"
import { verdicts } from "./judge.ts"
import { make, type Reward } from "./Reward.ts"
import { scored, type Scored, type Verdict } from "./Verdict.ts"

type AnyReward = Reward<unknown, unknown>

/** A reward made of `Term`s fails with what any of them fails with, and needs what any of them needs. */
type Combined<Term extends AnyReward> = Reward<
  Term extends Reward<infer E, unknown> ? E : never,
  Term extends Reward<unknown, infer R> ? R : never
>

/** value = Σ weight · value of each. One unscorable term makes the rollout unscorable. */
export const weighted = <const Terms extends ReadonlyArray<readonly [weight: number, reward: AnyReward]>>(
  ...terms: Terms
): Combined<Terms[number][1]> => {
  const weights = terms.map(([weight]) => weight)
  const bad = weights.find((weight) => !Number.isFinite(weight))
  if (bad !== undefined) throw new RangeError(`${bad} is no weight: a finite number was expected`)
  return combine<Terms[number][1]>(
    terms.map(([weight, { name }]) => (weight === 1 ? name : `${weight} ${name}`)).join(" + "),
    terms.map(([, reward]) => reward),
    derive.weighted(terms.map(([weight, { claims }]) => [weight, claims])),
    eachRollout((values) => values.reduce((sum, { value }, i) => sum + weights[i] * value, 0))
  )
}

/** value = Σ value of each. */
export const sum = <const Rewards extends ReadonlyArray<AnyReward>>(...rewards: Rewards): Combined<Rewards[number]> =>
  weighted(...rewards.map((reward): readonly [number, Rewards[number]] => [1, reward]))

/** value = that of `reward` where `condition` is above 0, else 0. */
export const gate = <Condition extends AnyReward, Inner extends AnyReward>(
  condition: Condition,
  reward: Inner
): Combined<Condition | Inner> =>
  combine<Condition | Inner>(
    `${condition.name} ? ${reward.name}`,
    [condition, reward],
    derive.gate(condition.claims, reward.claims),
    eachRollout(([open, inner]) => (open.value > 0 ? inner.value : 0))
  )

/**
 * value = that of `reward` in groups where `condition` is above 0 for some rollout, else `otherwise` for all of them. While
 * it is open whether there is such a rollout, because one of them could not be scored, none of the group can be.
 */
export const perGroup = <Condition extends AnyReward, Inner extends AnyReward>(
  condition: Condition,
  reward: Inner,
  otherwise = 0
): Combined<Condition | Inner> =>
  combine<Condition | Inner>(
    `any ${condition.name} ? ${reward.name}${otherwise === 0 ? "" : ` : ${otherwise}`}`,
    [condition, reward],
    derive.perGroup(condition.claims, reward.claims, otherwise),
    ([conditions, inner]) => {
      const open = conditions.some((verdict) => verdict._tag === "Scored" && verdict.value > 0)
      const unknown = conditions.find((verdict) => verdict._tag === "Unscorable")
      if (!open && unknown !== undefined) return inner.map(() => unknown)
      return inner.map((verdict, i) => join([conditions[i], verdict], ([, { value }]) => (open ? value : otherwise)))
    }
  )

/** value = that of `reward`, at least `low` and at most `high`. */
export const clamp = <Inner extends AnyReward>(reward: Inner, low: number, high: number): Combined<Inner> => {
  if (!(low <= high)) throw new RangeError(`the range [${low}, ${high}] holds no number`)
  return combine<Inner>(
    `clamp(${reward.name}, ${low}, ${high})`,
    [reward],
    derive.clamp(reward.claims, low, high),
    eachRollout(([inner]) => Math.min(high, Math.max(low, inner.value)))
  )
}

/** From the verdicts of every term on every rollout [terms][rollouts] to one verdict for each rollout. */
type Join = (terms: ReadonlyArray<ReadonlyArray<Verdict>>) => ReadonlyArray<Verdict>

const eachRollout =
  (value: (terms: ReadonlyArray<Scored>) => number): Join =>
  (terms) =>
    (terms[0] ?? []).map((_, i) =>
      join(
        terms.map((verdicts) => verdicts[i]),
        value
      )
    )

/** The parts of all terms under a value of its own; one that is unscorable makes the whole so. */
const join = (terms: ReadonlyArray<Verdict>, value: (terms: ReadonlyArray<Scored>) => number): Verdict => {
  const missing = terms.find((term) => term._tag === "Unscorable")
  if (missing !== undefined) return missing
  const all = terms.filter((term) => term._tag === "Scored")
  return scored(value(all), Object.assign({}, ...all.map((term) => term.parts)))
}

const combine = <Term extends AnyReward>(
  name: string,
  rewards: ReadonlyArray<Term>,
  claims: Claims,
  joined: Join
): Combined<Term> => {
  if (rewards.length === 0) throw new TypeError("a combined reward needs a term")
  const twice = rewards.find((reward, i) => rewards.findIndex((other) => other.name === reward.name) < i)
  if (twice !== undefined) throw new TypeError(`two terms of "${name}" are called "${twice.name}": rename one`)
  const reward: AnyReward = make(
    name,
    // Each term is checked on its own, so that a reason names the term it comes from.
    (group) =>
      Effect.map(
        Effect.forEach(rewards, (term) => verdicts(term, group)),
        joined
      ),
    claims
  )
  // TypeScript cannot see through the conditional type: running every Term needs and fails with exactly the union.
  return reward as Combined<Term>
}

import { Effect } from "effect"
import { judge, type Reward } from "./Reward.ts"
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
): Combined<Terms[number][1]> =>
  combine<Terms[number][1]>(
    terms.map(([weight, { name }]) => (weight === 1 ? name : `${weight} ${name}`)).join(" + "),
    terms.map(([, reward]) => reward),
    (values) => values.reduce((sum, { value }, i) => sum + terms[i][0] * value, 0)
  )

/** value = Σ value of each. */
export const sum = <const Rewards extends ReadonlyArray<AnyReward>>(...rewards: Rewards): Combined<Rewards[number]> =>
  weighted(...rewards.map((reward): readonly [number, Rewards[number]] => [1, reward]))

/** value = that of `reward` where `condition` is above 0, else 0. */
export const gate = <Condition extends AnyReward, Inner extends AnyReward>(
  condition: Condition,
  reward: Inner
): Combined<Condition | Inner> =>
  combine<Condition | Inner>(`${condition.name} ? ${reward.name}`, [condition, reward], ([open, inner]) =>
    open.value > 0 ? inner.value : 0
  )

/** value = that of `reward`, at least `low` and at most `high`. */
export const clamp = <Inner extends AnyReward>(reward: Inner, low: number, high: number): Combined<Inner> =>
  combine(`clamp(${reward.name}, ${low}, ${high})`, [reward], ([inner]) => Math.min(high, Math.max(low, inner.value)))

const combine = <Term extends AnyReward>(
  name: string,
  rewards: ReadonlyArray<Term>,
  value: (terms: ReadonlyArray<Scored>) => number
): Combined<Term> => {
  const twice = rewards.find((reward, i) => rewards.findIndex((other) => other.name === reward.name) < i)
  if (twice !== undefined) throw new TypeError(`two terms of "${name}" are called "${twice.name}": rename one`)
  const join = (terms: ReadonlyArray<Verdict>): Verdict => {
    const missing = terms.find((term) => term._tag === "Unscorable")
    if (missing !== undefined) return missing
    const all = terms.filter((term) => term._tag === "Scored")
    return scored(value(all), Object.assign({}, ...all.map((term) => term.parts)))
  }
  const reward: AnyReward = {
    name,
    // Each term is judged on its own, so that a reason names the term it comes from.
    score: (group) =>
      Effect.map(
        Effect.forEach(rewards, (term) => judge(term, group)),
        (judged) => group.rollouts.map((_, i) => join(judged.map(({ rollouts }) => rollouts[i].verdict)))
      )
  }
  // TypeScript cannot see through the conditional type: running every Term needs and fails with exactly the union.
  return reward as Combined<Term>
}

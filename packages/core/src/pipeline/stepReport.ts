import type { Stats } from "../actor/ActorRef.ts"
import type { RunContext } from "./RunContext.ts"
import { thought } from "../prompt/Template.ts"
import { outcomes } from "../prompt/Prediction.ts"
import type { Advantage } from "../rl/advantage.ts"
import { assign } from "../rl/advantage.ts"
import type { UnscorableKind } from "../reward/Verdict.ts"
import { hasSignal } from "../rl/dynamicSampling.ts"
import type { Group } from "../rl/Group.ts"
import type { ScoredRollout } from "../rl/Rollout.ts"
import type { Sample } from "../run/Samples.ts"

/** What the rollouts of a step say, by metric name. Shares are of all rollouts, means of those that have a value. */
export const rolloutMetrics = (groups: ReadonlyArray<Group>): Readonly<Record<string, number>> => {
  const all = groups.flatMap(({ rollouts }) => rollouts)
  const rewards = all.flatMap(({ verdict }) => (verdict._tag === "Scored" ? [verdict.value] : []))
  const logprobs = all.flatMap(({ rollout }) => Array.from(rollout.behaviourLogprobs))
  const answers = all.flatMap(({ prediction }) => (prediction.outcome === "answered" ? [prediction.bytes.length] : []))
  const share = (count: number, of: number) => count / Math.max(1, of)
  const shareOf = (has: (rollout: ScoredRollout) => boolean) => share(all.filter(has).length, all.length)
  const byOutcome = outcomes.map((outcome) => [
    `outcome/${outcome}`,
    shareOf(({ prediction }) => prediction.outcome === outcome)
  ])
  return {
    "reward/mean": mean(rewards),
    "reward/unscorable": shareOf(({ verdict }) => verdict._tag === "Unscorable"),
    ...Object.fromEntries(
      [...unscorableCounts(all)].map(([kind, count]) => [`reward/unscorable/${kind}`, share(count, all.length)])
    ),
    "groups/informative": share(groups.filter(hasSignal).length, groups.length),
    "groups/solved": share(groups.filter(solved).length, groups.length),
    // The expected surprise of a sampled token is the entropy, so its mean over the tokens estimates it.
    entropy: -mean(logprobs),
    "completion/tokens": share(logprobs.length, all.length),
    "prediction/bytes": mean(answers),
    ...Object.fromEntries(byOutcome),
    ...partMeans(all)
  }
}

/** What the actors of a run have been through since it was brought to life, and what waits for them now. */
export const actorMetrics = (actors: ReadonlyArray<Stats>): Readonly<Record<string, number>> => {
  const total = (count: (stats: Stats) => number) => actors.reduce((sum, stats) => sum + count(stats), 0)
  return {
    "actors/restarted": total(({ restarted }) => restarted),
    "actors/crashed": total(({ crashed }) => crashed),
    "actors/queued": total(({ queued, suspended }) => queued + suspended)
  }
}

const solved = ({ rollouts }: Group): boolean =>
  rollouts.some(({ verdict }) => verdict._tag === "Scored" && verdict.value > 0)

/** How many rollouts could not be scored, by why; only what happened. */
const unscorableCounts = (all: ReadonlyArray<ScoredRollout>): ReadonlyMap<UnscorableKind, number> => {
  const kinds = all.flatMap(({ verdict }) => (verdict._tag === "Unscorable" ? [verdict.kind] : []))
  return new Map([...Map.groupBy(kinds, (kind) => kind)].map(([kind, same]) => [kind, same.length]))
}

/** Mean of each part that the reward is made of. */
const partMeans = (all: ReadonlyArray<ScoredRollout>): Readonly<Record<string, number>> => {
  const parts = Map.groupBy(
    all.flatMap(({ verdict }) => (verdict._tag === "Scored" ? Object.entries(verdict.parts) : [])),
    ([name]) => name
  )
  return Object.fromEntries(
    [...parts].map(([name, values]) => [`reward/part/${name}`, mean(values.map(([, value]) => value))])
  )
}

/** A few rollouts of the step for people to read: the first of `count` groups spread over it, informative ones first. */
export const readableSamples = (
  { template, tokenizer }: Pick<RunContext, "template" | "tokenizer">,
  advantage: Advantage,
  groups: ReadonlyArray<Group>,
  step: number,
  count: number
): ReadonlyArray<Sample> => {
  const ordered = [...groups.filter(hasSignal), ...groups.filter((group) => !hasSignal(group))]
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
  return ordered.slice(0, count).flatMap((group) => {
    const advantages = new Map(assign(advantage, group).rollouts.map((given) => [given.rollout.index, given.advantage]))
    const { document, anchor, continuation } = group.problem
    const context = tokenizer.text(document.tokens.subarray(Math.max(0, anchor - contextTokens), anchor))
    return group.rollouts.slice(0, rolloutsShown).map(({ rollout, prediction, verdict }) => ({
      step,
      problem: group.problem.id,
      rollout: rollout.index,
      context,
      thought: text(thought(template, rollout.bytes)),
      prediction: prediction.outcome === "answered" ? text(prediction.bytes) : null,
      truth: text(continuation.bytes),
      outcome: prediction.outcome,
      reward: verdict._tag === "Scored" ? verdict.value : null,
      parts: verdict._tag === "Scored" ? verdict.parts : {},
      unscorable: verdict._tag === "Unscorable" ? verdict.reason : null,
      advantage: advantages.get(rollout.index) ?? null,
      logprobMean: rollout.behaviourLogprobs.length === 0 ? null : mean(Array.from(rollout.behaviourLogprobs))
    }))
  })
}

/** The end of the context that a sample shows. */
const contextTokens = 48
const rolloutsShown = 2

/** 0 for none: a metric is a number in every step. */
const mean = (xs: ReadonlyArray<number>): number =>
  xs.length === 0 ? 0 : xs.reduce((sum, x) => sum + x, 0) / xs.length

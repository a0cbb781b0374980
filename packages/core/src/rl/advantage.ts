/**
 * How much better a rollout did than its group. With rewards r_1 .. r_G of one problem:
 *
 *   grpo    A_i = (r_i - mean r) / (std r + eps)      DeepSeekMath, arXiv 2402.03300, section 4.1.2
 *   drGrpo  A_i =  r_i - mean r                       Dr. GRPO, arXiv 2503.20783, section 3.2
 *   rloo    A_i =  r_i - mean of the others           RLOO, arXiv 2402.14740, equation 7; = G/(G-1) (r_i - mean r)
 *
 * Where we are explicit: std is the population's (divide by G); the sources do not say. Equal rewards give exactly 0,
 * not rounding noise over eps. A group of one has nobody to be compared with: 0. Unscorable rollouts leave the group
 * before any mean is taken, and get no gradient.
 */
import type { AdvantagedGroup, Group } from "./Group.ts"
import { values } from "./Group.ts"
import type { AdvantagedRollout } from "./Rollout.ts"

/** An advantage estimator. `of` takes the finite rewards of one group and returns as many advantages, in order. */
export interface Advantage {
  readonly name: string
  readonly of: (rewards: ReadonlyArray<number>) => ReadonlyArray<number>
  /** Declares that multiplying all rewards by c > 0 changes nothing (up to eps). Else it multiplies all advantages. */
  readonly scaleInvariant: boolean
}

/** Keeps equal-but-for-rounding rewards from being blown up; small against the spread of rewards of order 1. */
const eps = 1e-6

export const grpo: Advantage = {
  name: "grpo",
  scaleInvariant: true,
  of: (rewards) => {
    const centred = deviations(rewards)
    const std = Math.sqrt(mean(centred.map((d) => d * d)))
    return centred.map((d) => d / (std + eps))
  }
}

export const drGrpo: Advantage = { name: "drGrpo", scaleInvariant: false, of: (rewards) => deviations(rewards) }

export const rloo: Advantage = {
  name: "rloo",
  scaleInvariant: false,
  of: (rewards) => {
    const others = Math.max(1, rewards.length - 1)
    return deviations(rewards).map((d) => (d * rewards.length) / others)
  }
}

/** Gives every scored rollout its advantage and lets the unscorable ones go. */
export const assign = (advantage: Advantage, group: Group): AdvantagedGroup => {
  const advantages = advantage.of(values(group))
  const rollouts: Array<AdvantagedRollout> = []
  for (const { rollout, prediction, verdict } of group.rollouts) {
    if (verdict._tag !== "Scored") continue
    rollouts.push({ rollout, prediction, verdict, advantage: advantages[rollouts.length] })
  }
  return { problem: group.problem, rollouts, excluded: group.rollouts.length - rollouts.length }
}

const mean = (xs: ReadonlyArray<number>): number => xs.reduce((sum, x) => sum + x, 0) / xs.length

/** r_i - mean r, exactly 0 where all rewards are the same number. */
const deviations = (rewards: ReadonlyArray<number>): ReadonlyArray<number> => {
  if (rewards.every((reward) => reward === rewards[0])) return rewards.map(() => 0)
  const centre = mean(rewards)
  return rewards.map((reward) => reward - centre)
}

import { Effect, Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import type { Certificate } from "../reward/Certificate.ts"
import { judge } from "../reward/judge.ts"
import type { JudgeSettings } from "../reward/judge.ts"
import type { Reward } from "../reward/Reward.ts"
import { Truth } from "../reward/Truth.ts"
import { parseAll, type RolloutGroup as RolloutGroupType } from "../rl/Group.ts"
import type { Baseline as BaselineType, Policy as PolicyType } from "./messages.ts"
import { Baseline, Group, Policy, RolloutGroup } from "./messages.ts"
import { onThread } from "./onThread.ts"
import { makePolicyTruth } from "./policyTruth.ts"
import type { RunContext } from "./RunContext.ts"
import type { Stage } from "./Stage.ts"

/**
 * Groups in, groups with predictions and verdicts out; `policy` is the one that sampled them, `baseline` what a reward may
 * compare it with. Nothing is remembered from one message to the next, so a restart changes no verdict.
 */
export const VerifierProtocol = Protocol.make(
  Protocol.message("Verify", {
    payload: { groups: Schema.Array(RolloutGroup), policy: Policy, baseline: Baseline },
    success: Schema.Array(Group)
  })
)
export type VerifierProtocol = typeof VerifierProtocol

export interface VerifierSettings {
  readonly reward: string
  /** SHA-256 (hex) of the file that the reward comes from. */
  readonly sourceHash?: string
  /** What the reward was put through before, where it was: goes into the manifest and into checkpoints. */
  readonly certificate?: Certificate
  /** Of a reward that asks the model: share of the old weights that its baseline keeps at every new policy. */
  readonly baselineDecay?: number
}

export interface VerifierOptions extends Partial<JudgeSettings> {
  /** Share of the old weights that the baseline keeps at every new policy; RLP's 0.999 unless given. */
  readonly decay?: number
  readonly sourceHash?: string | undefined
  readonly certificate?: Certificate | undefined
}

export type VerifierStage = Stage<VerifierProtocol, VerifierSettings>

/**
 * Reads every completion under the run's template and lets the reward judge the group. A reward that asks for the truth
 * is given it as the policy of the groups finds it, on a thread of its own; for such a one the time limit is 10 minutes
 * unless given, because programs are compiled within it.
 */
export const make = (
  reward: Reward<unknown, Truth>,
  {
    certificate,
    sourceHash,
    decay = 0.999,
    timeLimit = reward.claims.needsModel ? "10 minutes" : "10 seconds"
  }: VerifierOptions = {}
): VerifierStage => {
  const makeHandlers = Effect.fnUntraced(function* (context: RunContext) {
    const truth = yield* makePolicyTruth(context)
    const verify = ({ groups, policy, baseline }: Verify) =>
      Effect.forEach(groups, (group) => judge(reward, parseAll(context.template, group), { timeLimit })).pipe(
        Effect.provideService(Truth, truth(policy, baseline))
      )
    return { Verify: verify }
  })
  return {
    protocol: VerifierProtocol,
    settings: {
      reward: reward.name,
      ...(sourceHash === undefined ? {} : { sourceHash }),
      ...(certificate === undefined ? {} : { certificate }),
      ...(reward.claims.needsModel ? { baselineDecay: decay } : {})
    },
    make: (context) => {
      const handlers = makeHandlers(context)
      return reward.claims.needsModel ? onThread("verifier", handlers) : handlers
    }
  }
}

interface Verify {
  readonly groups: ReadonlyArray<RolloutGroupType>
  readonly policy: PolicyType
  readonly baseline: BaselineType
}

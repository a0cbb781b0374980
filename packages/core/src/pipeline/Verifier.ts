import { Effect, Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import type { Certificate } from "../reward/Certificate.ts"
import { judge } from "../reward/judge.ts"
import type { JudgeSettings } from "../reward/judge.ts"
import type { Reward } from "../reward/Reward.ts"
import { parseAll, type RolloutGroup as RolloutGroupType } from "../rl/Group.ts"
import { Group, RolloutGroup } from "./messages.ts"
import type { Stage } from "./Stage.ts"

/** Groups in, groups with predictions and verdicts out. */
export const VerifierProtocol = Protocol.make(
  Protocol.message("Verify", {
    payload: { groups: Schema.Array(RolloutGroup) },
    success: Schema.Array(Group)
  })
)
export type VerifierProtocol = typeof VerifierProtocol

export interface VerifierSettings {
  readonly reward: string
  /** What the reward was put through before, where it was: goes into the manifest and into checkpoints. */
  readonly certificate?: Certificate
}

export interface VerifierOptions extends Partial<JudgeSettings> {
  readonly certificate?: Certificate | undefined
}

export type VerifierStage = Stage<VerifierProtocol, VerifierSettings>

/** Reads every completion under the run's template and lets the reward judge the group. */
export const make = (
  reward: Reward<unknown>,
  { certificate, timeLimit = "10 seconds" }: VerifierOptions = {}
): VerifierStage => ({
  protocol: VerifierProtocol,
  settings: { reward: reward.name, ...(certificate === undefined ? {} : { certificate }) },
  make: ({ template }) =>
    Effect.succeed({
      Verify: ({ groups }: { readonly groups: ReadonlyArray<RolloutGroupType> }) =>
        Effect.forEach(groups, (group) => judge(reward, parseAll(template, group), { timeLimit }))
    })
})

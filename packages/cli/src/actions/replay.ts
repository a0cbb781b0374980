import { Replay } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { openLoneReward } from "../reward.ts"
import { type Rejudged, rejudged, showRejudged } from "../replay/flips.ts"
import { readableRollout, type ReadableRollout, textOf } from "../replay/readable.ts"
import { contextOf, openStoredRun, type StoredRun } from "../replay/StoredRun.ts"
import { table } from "../table.ts"

interface Input {
  readonly run: string
  readonly reward: string | undefined
  readonly step: number | undefined
  readonly examples: number
}

interface Walk {
  readonly run: string
  readonly reward: string
  readonly flaw: string
  readonly steps: ReadonlyArray<WalkedStep>
}

interface WalkedStep {
  readonly step: number
  /** Versions before and after the update; null where there was none. */
  readonly policy: { readonly from: string; readonly to: string } | null
  readonly problems: ReadonlyArray<{
    readonly id: string
    /** The end of it. */
    readonly context: string | null
    readonly truth: string
    /** Whether the update learned from it. */
    readonly learned: boolean
    readonly rollouts: ReadonlyArray<WalkedRollout>
  }>
  /** Units that crashed their actors; no step learned from them. */
  readonly aside: ReadonlyArray<{
    readonly problems: ReadonlyArray<string>
    readonly during: "sampling" | "verifying"
    readonly cause: string
  }>
}

interface WalkedRollout extends ReadableRollout {
  /** Its part of the update's gradient by advantage and length, 0 to 1; null where it was not learned from. */
  readonly share: number | null
}

type Output = Walk | Rejudged

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const stored = yield* openStoredRun(input.run, input.step)
    if (input.reward === undefined) return walk(stored)
    const { reward } = yield* openLoneReward(input.reward)
    return yield* rejudged(stored, reward, input.examples)
  })

const walk = (stored: StoredRun): Walk => ({
  run: stored.run,
  reward: stored.reward,
  flaw: stored.flaw,
  steps: stored.steps.map((step): WalkedStep => {
    const [update] = step.update
    const learned = new Set(step.batch[0]?.problems)
    const shares = Replay.gradientShares(step)
    return {
      step: step.step,
      policy: update === undefined ? null : { from: update.from, to: update.to },
      problems: Replay.recordedGroups(step, stored.template, stored.advantage).map(({ group, rollouts }) => ({
        id: group.problem.id,
        context: contextOf(stored, group.problem),
        truth: textOf(group.problem.continuation.bytes),
        learned: learned.has(group.problem.id),
        rollouts: rollouts.map((rollout) => ({
          ...readableRollout(rollout),
          share: shares.get(rollout.rollout.id) ?? null
        }))
      })),
      aside: step.aside.map(({ problems, during, cause }) => ({ problems, during, cause }))
    }
  })
})

export const show = (output: Output): string => ("under" in output ? showRejudged(output) : showWalk(output))

const showWalk = ({ reward, flaw, steps }: Walk): string =>
  [
    ...steps.flatMap(({ step, policy, problems, aside }) => [
      `step ${step}: ${policy === null ? "no update" : `policy ${short(policy.from)} -> ${short(policy.to)}`}`,
      ...problems.flatMap(({ id, context, truth, learned, rollouts }) => [
        "",
        `  ${id}${learned ? "" : " (not learned from)"}`,
        ...(context === null ? [] : [`  context ${JSON.stringify(context)}`]),
        `  truth   ${JSON.stringify(truth)}`,
        table(
          ["rollout", "policy", reward, "advantage", "gradient", "outcome", "prediction"],
          rollouts.map(({ index, policy, value, unscorable, advantage, share, outcome, prediction }) => [
            String(index),
            short(policy),
            value === null ? `- (${unscorable ?? ""})` : String(value),
            advantage === null ? "-" : advantage.toFixed(3),
            share === null ? "-" : `${(100 * share).toFixed(1)} %`,
            outcome,
            prediction === null ? "" : JSON.stringify(prediction)
          ])
        ).replaceAll(/^/gm, "  ")
      ]),
      ...aside.flatMap(({ problems, during, cause }) => [
        "",
        `  set aside while ${during}: ${problems.join(", ")}`,
        `  ${cause}`
      ]),
      ""
    ]),
    ...(flaw === "" ? [] : [`the ledger ends early: ${flaw}`])
  ]
    .join("\n")
    .trimEnd()

const short = (version: string): string => version.slice(0, 12)

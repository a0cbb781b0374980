import { Clock, Effect } from "effect"
import { assign } from "../rl/advantage.ts"
import type { Validation } from "../run/Checkpoint.ts"
import { batchRecord } from "./ledgerRecords.ts"
import type { Policy } from "./messages.ts"
import type { Pipeline } from "./Pipeline.ts"
import { sampleStep } from "./sampleStep.ts"
import type { Running } from "./startRun.ts"
import { readableSamples, rolloutMetrics } from "./stepReport.ts"

/** Where a run stands after so many steps. */
export interface Progress {
  readonly step: number
  readonly policy: Policy
  readonly metrics: Readonly<Record<string, number>>
}

export interface StepSettings {
  /** Steps of the whole run. */
  readonly steps: number
  /** Groups whose rollouts go to samples.jsonl. */
  readonly groupsShown: number
}

/** One step: sample and verify, update, measure, and write down what happened. */
export const takeStep = Effect.fnUntraced(function* (running: Running, at: Progress, settings: StepSettings) {
  const { pipeline, context, actors, ledger } = running
  const began = yield* Clock.currentTimeMillis
  const ledgerBegan = ledger.seconds()
  const sampled = yield* sampleStep(running, at.policy, at.step)
  const sampledAt = yield* Clock.currentTimeMillis
  const step = at.step + 1
  const { advantage } = pipeline.optimizer.settings
  const advantaged = sampled.groups.map((group) => assign(advantage, group))
  yield* ledger.append([batchRecord(step, sampled.asked, advantaged)])
  const updated = yield* actors.optimizer.ask("Update", { groups: sampled.groups })
  const { version: to, updates } = updated.policy
  yield* ledger.append([{ _tag: "update", step, from: at.policy.version, to, updates, metrics: updated.metrics }])
  // Durable before anything is built on it: a checkpoint, or the step after.
  yield* ledger.sync
  const updatedAt = yield* Clock.currentTimeMillis

  const validation = yield* measure(pipeline, updated.policy, step, settings.steps)
  const metrics = {
    ...rolloutMetrics(sampled.groups),
    ...sampled.metrics,
    ...updated.metrics,
    ...(validation._tag === "measured" ? { [`validation/${validation.metric}`]: validation.value } : {}),
    "actors/restarted": actors.supervisor.stats.actors.reduce((sum, { restarted }) => sum + restarted, 0),
    "seconds/sample": (sampledAt - began) / 1000,
    "seconds/update": (updatedAt - sampledAt) / 1000,
    "seconds/ledger": ledger.seconds() - ledgerBegan,
    // Those made since the row before: a row does not wait for the checkpoint of its own step.
    "seconds/checkpoint": running.checkpoints.seconds(),
    "timer_lag/max_ms": yield* running.timerLag.largest
  }
  yield* running.metrics.append({ step, values: metrics })
  yield* running.samples.append(readableSamples(context, advantage, sampled.groups, step, settings.groupsShown))
  yield* running.checkpoints.after(step, validation)
  return { step, policy: updated.policy, metrics } satisfies Progress
})

/** How good the policy is on held-out text, if this step measures it; a value that is not finite says nothing. */
const measure = Effect.fnUntraced(function* ({ validation }: Pipeline, policy: Policy, step: number, steps: number) {
  const unmeasured: Validation = { _tag: "unmeasured" }
  const [due] = validation.filter(({ every }) => step % every === 0 || step === steps)
  if (due === undefined) return unmeasured
  const value = yield* due.measure(policy)
  return Number.isFinite(value) ? { _tag: "measured" as const, metric: due.metric, value } : unmeasured
})

import { Clock, Effect } from "effect"
import { assign } from "../rl/advantage.ts"
import type { Validation } from "../run/Checkpoint.ts"
import { batchRecord } from "./ledgerRecords.ts"
import type { Policy } from "./messages.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { Progress } from "./Progress.ts"
import { policyOf } from "./Progress.ts"
import { GroupsLost } from "./ReplayBuffer.ts"
import type { Ahead } from "./sampleAhead.ts"
import type { Sampled } from "./sampleStep.ts"
import type { Running } from "./startRun.ts"
import { actorMetrics, readableSamples, rolloutMetrics } from "./stepReport.ts"

/** One step, once it is sampled: update, measure, and write down what happened. `waited` is how long for it, in seconds. */
export const takeStep = Effect.fnUntraced(function* (
  running: Running,
  ahead: Ahead,
  at: Progress,
  sampled: Sampled,
  waited: number
) {
  const { pipeline, context, actors, ledger, settings } = running
  const { step } = sampled
  const began = yield* Clock.currentTimeMillis
  const before = policyOf(at)
  const waiting = yield* ahead.waiting
  const { units, stale } = yield* actors.buffer.ask("Take", { step, updates: before.updates })
  const groups = units.flatMap((unit) => unit.groups)
  const taken = groups.length
  if (taken + stale !== sampled.put) return yield* new GroupsLost({ step, put: sampled.put, taken, stale })
  const ages = units.map(({ policyUpdates }) => before.updates - policyUpdates)
  const { advantage } = pipeline.optimizer.settings
  const advantaged = groups.map((group) => assign(advantage, group))
  yield* ledger.append([batchRecord(step, sampled.judged, advantaged)])
  const updated = yield* actors.optimizer.ask("Update", { step, groups })
  const { version: to, updates } = updated.policy
  yield* ledger.append([{ _tag: "update", step, from: before.version, to, updates, metrics: updated.metrics }])
  // Durable before anything is built on it: a checkpoint, or rollouts of the new policy.
  yield* ledger.sync
  yield* ahead.published(updated.policy)
  const learnedAt = yield* Clock.currentTimeMillis

  const validation = yield* measure(pipeline, updated.policy, step, settings.steps)
  const metrics = {
    ...rolloutMetrics(groups),
    ...sampled.metrics,
    policy_age: ages.reduce((sum, age) => sum + age, 0) / Math.max(1, ages.length),
    "policy_age/max": Math.max(0, ...ages),
    "groups/stale": stale,
    ...updated.metrics,
    ...(validation._tag === "measured" ? { [`validation/${validation.metric}`]: validation.value } : {}),
    ...actorMetrics(actors.supervisor.stats.actors),
    // Steps that were sampled already when this one was learned from.
    "steps/waiting": waiting,
    "seconds/wait": waited,
    "seconds/update": (learnedAt - began) / 1000,
    // Those since the row before: a row does not wait for the checkpoint of its own step.
    "seconds/ledger": running.ledgerSeconds(),
    "seconds/checkpoint": running.checkpoints.seconds(),
    "timer_lag/max_ms": yield* running.timerLag.largest
  }
  const progress: Progress = {
    step,
    recent: newest(at.recent, updated.policy, pipeline.lag),
    sampling: sampled.after,
    metrics
  }
  yield* running.metrics.append({ step, values: metrics })
  yield* running.samples.append(readableSamples(context, advantage, groups, step, settings.groupsShown))
  yield* running.checkpoints.after(progress, validation)
  return progress
})

/** The last `lag + 1` policies. */
const newest = (recent: Progress["recent"], policy: Policy, lag: number): Progress["recent"] => {
  const [first, ...rest] = [...recent, policy].slice(-(lag + 1))
  return [first, ...rest]
}

/** How good the policy is on held-out text, if this step measures it; a value that is not finite says nothing. */
const measure = Effect.fnUntraced(function* ({ validation }: Pipeline, policy: Policy, step: number, steps: number) {
  const unmeasured: Validation = { _tag: "unmeasured" }
  const [due] = validation.filter(({ every }) => step % every === 0 || step === steps)
  if (due === undefined) return unmeasured
  const value = yield* due.measure(policy)
  return Number.isFinite(value) ? { _tag: "measured" as const, metric: due.metric, value } : unmeasured
})

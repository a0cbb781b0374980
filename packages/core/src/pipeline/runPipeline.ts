import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import type { ActorCrashed, ActorStopped } from "../actor/index.ts"
import type { SupervisorFailure } from "../actor/Supervisor.ts"
import type { TokenizerError } from "../data/Tokenizer.ts"
import type { ModelError } from "../model/ModelDirectory.ts"
import { makeScorer } from "../model/Scorer.ts"
import type { WeightsError } from "../model/weights.ts"
import type { NoSignal } from "../rl/dynamicSampling.ts"
import { collect } from "../rl/dynamicSampling.ts"
import type { CheckpointEntry, Validation as Measured } from "../run/Checkpoint.ts"
import { saveCheckpoint } from "../run/Checkpoint.ts"
import { openMetrics } from "../run/Metrics.ts"
import type { RunError } from "../run/Run.ts"
import { createRun, metricsPath, samplesPath } from "../run/Run.ts"
import { openSamples } from "../run/Samples.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { Backend } from "../tensor/Backend.ts"
import { makeProgramCache } from "../tensor/ProgramCache.ts"
import { spawnActors } from "./actors.ts"
import { fitProblems } from "./fitProblems.ts"
import { manifestOf } from "./manifestOf.ts"
import type { Policy } from "./messages.ts"
import type { Pipeline } from "./Pipeline.ts"
import { loadPolicy } from "./policySource.ts"
import type { NoPolicy } from "./PolicyStore.ts"
import type { ProblemError } from "./ProblemSource.ts"
import { makeProblemSource } from "./ProblemSource.ts"
import type { BufferFull } from "./ReplayBuffer.ts"
import { makeRunContext } from "./RunContext.ts"
import type { NotSynced } from "./Sampler.ts"
import { syncPool } from "./samplerPool.ts"
import type { StageError } from "./Stage.ts"
import { readableSamples, rolloutMetrics } from "./stepReport.ts"

export interface RunOptions {
  readonly steps: number
  readonly seed: number
  /** The directory of the run. It must not exist. */
  readonly run: string
  /** Actors that sample side by side: speed, never results. Default 1. */
  readonly samplers?: number
  /** A checkpoint every so many steps, beside the last and the best. Default: none. */
  readonly checkpointEvery?: number
  /** Groups a step whose rollouts go to samples.jsonl. Default 4. */
  readonly groupsShown?: number
  /** Called after every step, to show how the run goes. */
  readonly onStep?: (report: StepReport) => Effect.Effect<void>
}

export interface StepReport {
  /** Steps done, counting from 1. */
  readonly step: number
  readonly steps: number
  readonly metrics: Readonly<Record<string, number>>
}

export interface RunResult {
  readonly run: string
  readonly steps: number
  readonly weightsHash: string
  readonly ended: { readonly _tag: "Done" } | { readonly _tag: "NoSignal"; readonly reason: string }
  readonly last: CheckpointEntry
  /** By validation; the last one where nothing is measured. */
  readonly best: CheckpointEntry
  /** Of the last step. */
  readonly metrics: Readonly<Record<string, number>>
}

export type PipelineError =
  | ModelError
  | WeightsError
  | TokenizerError
  | ProblemError
  | StageError
  | RunError
  | StorageError
  | NoPolicy
  | NotSynced
  | BufferFull
  | ActorCrashed
  | ActorStopped
  | SupervisorFailure

/**
 * Runs a pipeline: each step samples groups with the current policy, verifies them, and updates the policy by them. Ends
 * after `steps`, or before that where dynamic sampling finds no signal any more. Whatever fails, fails typed.
 */
export const run = (pipeline: Pipeline, options: RunOptions): Effect.Effect<RunResult, PipelineError, Backend> =>
  Effect.scoped(runScoped(pipeline, options))

const runScoped = Effect.fnUntraced(function* (
  pipeline: Pipeline,
  { steps, seed, run: directory, samplers: samplerCount = 1, checkpointEvery, groupsShown = 4, onStep }: RunOptions
): Effect.fn.Return<RunResult, PipelineError, Backend | Scope.Scope> {
  const backend = yield* Backend
  const loaded = yield* loadPolicy(pipeline.policy)
  const { config } = loaded.stored
  const { template, batch } = pipeline
  const context = makeRunContext({ seed, config, tokenizer: loaded.tokenizer, template })
  const problems = yield* fitProblems(pipeline.problems, context, pipeline.sampler.settings.maxTokens)
  const { supervisor, store, samplers, verifier, buffer, optimizer } = yield* spawnActors(
    pipeline,
    context,
    loaded,
    samplerCount
  )
  const scorer = yield* makeScorer(config, yield* makeProgramCache)
  const base = yield* Effect.all(
    Object.fromEntries(Object.entries(loaded.stored.weights).map(([name, value]) => [name, backend.upload(value)]))
  )
  const source = yield* makeProblemSource({ context, problems, scorer, weights: base, ...batch })

  const made = yield* createRun(directory, manifestOf(pipeline, { steps, seed, samplers: samplerCount }, backend.name))
  const metricsLog = yield* openMetrics(metricsPath(made))
  const samplesLog = yield* openSamples(samplesPath(made))

  const unitsPerStep = Math.max(1, Math.ceil(batch.documentsPerStep / batch.documentsPerUnit))
  const groupsWanted = unitsPerStep * batch.documentsPerUnit * problems.settings.positionsPerDocument

  /** One round of sampling: units through sampler and verifier into the buffer, and out of it in their order. */
  const round = Effect.fnUntraced(function* (pool: Effect.Success<ReturnType<typeof syncPool>>, policy: Policy) {
    const units = yield* Effect.replicateEffect(source.next, unitsPerStep)
    const through = Effect.fnUntraced(function* (unit: (typeof units)[number]) {
      const groups = yield* verifier.ask("Verify", { groups: yield* pool.sample(unit) })
      yield* buffer.ask("Put", { unit: { index: unit.index, policyUpdates: policy.updates, groups } })
    })
    yield* Effect.forEach(units, through, { concurrency: samplers.length, discard: true })
    const taken = yield* buffer.ask("Take", { updates: policy.updates })
    return taken.units.flatMap(({ groups }) => groups)
  })

  const checkpoint = Effect.fnUntraced(function* (step: number, validation: Measured) {
    const { policy, optimizer: state } = yield* store.ask("Latest")
    const model = { ...loaded.stored, weights: policy.weights }
    const progress = { step, updates: state.updates }
    return yield* saveCheckpoint(made, { step, model, optimizer: state.moments, validation, progress })
  })

  const measure = Effect.fnUntraced(function* (policy: Policy, step: number) {
    const [validation] = pipeline.validation
    if (validation === undefined || (step % validation.every !== 0 && step !== steps)) return unmeasured
    const value = yield* validation.measure(policy)
    return { _tag: "measured", metric: validation.metric, value } as const
  })

  let { policy } = yield* store.ask("Latest")
  let saved: CheckpointEntry | undefined
  let best: CheckpointEntry | undefined
  let metrics: Readonly<Record<string, number>> = {}
  let ended: RunResult["ended"] = { _tag: "Done" }
  let step = 0

  const keep = Effect.fnUntraced(function* (validation: Measured) {
    const better = valueOf(validation) > valueOf(best?.validation ?? unmeasured)
    const due = checkpointEvery !== undefined && step % checkpointEvery === 0
    if (!better && !due && step !== steps) return
    saved = yield* checkpoint(step, validation)
    if (better || best === undefined) best = saved
  })

  const takeStep = Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    const pool = yield* syncPool(samplers, policy)
    const sampled = yield* collect(pipeline.dynamicSampling, step, groupsWanted, () => round(pool, policy))
    const sampledAt = yield* Clock.currentTimeMillis
    const updated = yield* optimizer.ask("Update", { groups: sampled.groups })
    const updatedAt = yield* Clock.currentTimeMillis
    const age = policy.updates - Math.min(...[policy.updates])
    policy = updated.policy
    step++
    const validation = yield* measure(policy, step)
    const { tooShort, tooEasy } = source.skipped()
    metrics = {
      ...rolloutMetrics(sampled.groups),
      ...updated.metrics,
      policy_age: age,
      "groups/sampled": sampled.groupsSampled,
      "documents/too_short": tooShort,
      "documents/too_easy": tooEasy,
      "actors/restarted": supervisor.stats.actors.reduce((sum, { restarted }) => sum + restarted, 0),
      ...(validation._tag === "measured" ? { [`validation/${validation.metric}`]: validation.value } : {}),
      "seconds/sample": (sampledAt - began) / 1000,
      "seconds/update": (updatedAt - sampledAt) / 1000
    }
    yield* metricsLog.append({ step, values: metrics })
    const { advantage } = pipeline.optimizer.settings
    yield* samplesLog.append(readableSamples(context, advantage, sampled.groups, step, groupsShown))
    yield* keep(validation)
    if (onStep !== undefined) yield* onStep({ step, steps, metrics })
  })

  const loop = Effect.gen(function* () {
    while (step < steps) yield* takeStep
  }).pipe(
    Effect.catchTag("NoSignal", (noSignal: NoSignal) =>
      Effect.sync(() => {
        ended = { _tag: "NoSignal", reason: noSignal.message }
      })
    )
  )
  yield* supervisor.link(loop)
  const last = saved?.step === step ? saved : yield* checkpoint(step, unmeasured)
  return { run: directory, steps: step, weightsHash: policy.version, ended, last, best: best ?? last, metrics }
})

const unmeasured: Measured = { _tag: "unmeasured" }
const valueOf = (validation: Measured): number => (validation._tag === "measured" ? validation.value : -Infinity)

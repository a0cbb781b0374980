import { Effect } from "effect"
import { makeScorer } from "../model/Scorer.ts"
import type { StoredModel } from "../model/ModelDirectory.ts"
import { openLedger } from "../run/Ledger.ts"
import { openMetrics } from "../run/Metrics.ts"
import { standardRetention } from "../run/Retention.ts"
import { createRun, ledgerDirectory, manifestHash, metricsPath, samplesPath } from "../run/Run.ts"
import { openSamples } from "../run/Samples.ts"
import { Backend } from "../tensor/Backend.ts"
import { makeProgramCache } from "../tensor/ProgramCache.ts"
import { spawnActors } from "./actors.ts"
import { checkRun } from "./checkRun.ts"
import { makeCheckpointKeeper } from "./checkpointKeeper.ts"
import { uploadWeights } from "./Evaluator.ts"
import { fitProblems } from "./fitProblems.ts"
import { manifestOf } from "./manifestOf.ts"
import type { Pipeline } from "./Pipeline.ts"
import { loadPolicy } from "./policySource.ts"
import type { Problems } from "../data/Problems.ts"
import { makeProblemSource } from "./ProblemSource.ts"
import { makeRunContext } from "./RunContext.ts"
import type { RunContext } from "./RunContext.ts"
import type { RunOptions } from "./runPipeline.ts"
import { watchTimerLag } from "./timerLag.ts"

/**
 * Brings a pipeline to life: model and problems, actors, run directory. The directory comes last: what cannot start
 * leaves nothing on disk.
 */
export const startRun = Effect.fnUntraced(function* (pipeline: Pipeline, options: RunOptions) {
  const { seed, samplers = 1, checkpointEvery = Infinity, keep = standardRetention } = options
  yield* Effect.fromResult(checkRun(pipeline, options))
  const { name } = yield* Backend
  const loaded = yield* loadPolicy(pipeline.policy)
  const { stored, tokenizer } = loaded
  const context = makeRunContext({ seed, config: stored.config, tokenizer, template: pipeline.template })
  const problems = yield* fitProblems(pipeline.problems, context, pipeline.sampler.settings.maxTokens)
  const source = yield* openProblems(pipeline, problems, context, stored)
  const actors = yield* spawnActors(pipeline, context, loaded, samplers)

  const made = yield* createRun(options.run, manifestOf(pipeline, { steps: options.steps, seed, samplers }, name))
  const ledger = yield* openLedger(ledgerDirectory(made))
  const { policy } = yield* actors.store.ask("Latest")
  const { groupSize } = pipeline.sampler.settings
  yield* ledger.append([{ _tag: "begun", manifest: manifestHash(made), policy: policy.version, groupSize }])
  return {
    pipeline,
    context,
    source,
    actors,
    ledger,
    metrics: yield* openMetrics(metricsPath(made)),
    samples: yield* openSamples(samplesPath(made)),
    timerLag: yield* watchTimerLag,
    checkpoints: makeCheckpointKeeper({
      run: made,
      model: stored,
      store: actors.store,
      ledger,
      every: checkpointEvery,
      keep
    })
  }
})

/** A run that is under way. */
export type Running = Effect.Success<ReturnType<typeof startRun>>

/** The problems of a run are judged by the model that it starts from, whatever becomes of that model. */
const openProblems = Effect.fnUntraced(function* (
  { batch }: Pipeline,
  problems: Problems,
  context: RunContext,
  { config, weights }: StoredModel
) {
  const { thread } = yield* Backend
  const { backend } = yield* thread({ name: "problems" })
  const onItsThread = Effect.gen(function* () {
    const scorer = yield* makeScorer(config, yield* makeProgramCache)
    return yield* makeProblemSource({ context, problems, scorer, weights: yield* uploadWeights(weights), ...batch })
  })
  return yield* Effect.provideService(onItsThread, Backend, backend)
})

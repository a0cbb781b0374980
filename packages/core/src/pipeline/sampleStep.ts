import { Clock, Effect, Schedule } from "effect"
import type { Group } from "../rl/Group.ts"
import { collect } from "../rl/dynamicSampling.ts"
import { followPolicy } from "./followPolicy.ts"
import { unitRecords } from "./ledgerRecords.ts"
import type { Baseline, Policy, Unit, VerifiedUnit } from "./messages.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { Position, Skipped } from "./ProblemSource.ts"
import { syncPool } from "./samplerPool.ts"
import type { Running } from "./startRun.ts"

/** What sampling goes on from: with it and a policy, the groups of a step are always the same. */
export interface SamplingState {
  readonly problems: Position
  readonly baseline: Baseline
}

/** A step whose groups wait in the buffer, and how they were come by. */
export interface Sampled {
  /** Counting from 1. */
  readonly step: number
  /** Ids of all problems that were asked for it, in the order of the stream. */
  readonly asked: ReadonlyArray<string>
  /** Groups that were put into the buffer. */
  readonly put: number
  readonly metrics: Readonly<Record<string, number>>
  /** What the step after goes on from. */
  readonly after: SamplingState
}

/** Units that a step samples at a time. */
const unitsPerStep = ({ batch }: Pick<Pipeline, "batch">): number =>
  Math.ceil(batch.documentsPerStep / batch.documentsPerUnit)

/** The most groups that a step learns from. */
export const groupsPerStep = ({ batch, problems }: Pick<Pipeline, "batch" | "problems">): number =>
  unitsPerStep({ batch }) * batch.documentsPerUnit * problems.settings.positionsPerDocument

/**
 * Samples a step (counting from 1) into the buffer: rounds of units through sampler and verifier, until dynamic sampling has
 * enough. What is sampled follows from the policy and the state alone, whoever was done first.
 */
export const sampleStep = Effect.fnUntraced(function* (
  running: Running,
  policy: Policy,
  before: SamplingState,
  step: number
) {
  const { pipeline, actors, ledger } = running
  const { samplers, search, verifier, buffer } = actors
  const began = yield* Clock.currentTimeMillis
  const { baselineDecay } = pipeline.verifier.settings
  const baseline = baselineDecay === undefined ? policy : followPolicy(before.baseline, policy, baselineDecay)
  const pool = yield* syncPool(samplers, policy)
  const verified: Array<VerifiedUnit> = []
  const asked: Array<string> = []
  let problems = before.problems
  let skipped: Skipped = { tooShort: 0, tooEasy: 0 }

  const nextUnit = Effect.gen(function* () {
    const found = yield* search.ask("Next", { after: problems })
    problems = found.position
    skipped = found.skipped
    return found.unit
  })
  const through = Effect.fnUntraced(function* (unit: Unit) {
    const groups = yield* verifier.ask("Verify", { groups: yield* pool.sample(unit), policy, baseline })
    yield* ledger.append(unitRecords(step, unit, groups))
    return { step, index: unit.index, policyUpdates: policy.updates, groups }
  })
  const round = Effect.gen(function* () {
    const units = yield* Effect.replicateEffect(nextUnit, unitsPerStep(pipeline))
    asked.push(...units.flatMap(({ documents }) => documents.flatMap(({ problems }) => problems.map(({ id }) => id))))
    const done = yield* Effect.forEach(units, through, { concurrency: samplers.length })
    verified.push(...done)
    return done.flatMap(({ groups }) => groups)
  })

  const { groups, groupsSampled, attempts } = yield* collect(
    pipeline.dynamicSampling,
    step - 1,
    groupsPerStep(pipeline),
    () => round
  )
  const chosen = new Set(groups.map(({ problem }: Group) => problem.id))
  const { overflow } = pipeline.buffer.settings
  for (const unit of verified) {
    const own = unit.groups.filter(({ problem }) => chosen.has(problem.id))
    if (own.length === 0) continue
    yield* Effect.retry(buffer.ask("Put", { unit: { ...unit, groups: own } }), {
      while: ({ _tag }) => _tag === "BufferFull" && overflow === "wait",
      schedule: Schedule.spaced("10 millis")
    })
  }
  const metrics = {
    "groups/sampled": groupsSampled,
    "sampling/rounds": attempts,
    "documents/too_short": skipped.tooShort,
    "documents/too_easy": skipped.tooEasy,
    "seconds/sample": ((yield* Clock.currentTimeMillis) - began) / 1000
  }
  return { step, asked, put: groups.length, metrics, after: { problems, baseline } } satisfies Sampled
})

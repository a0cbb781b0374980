import { Clock, Effect, Schedule } from "effect"
import type { Group } from "../rl/Group.ts"
import { collect } from "../rl/dynamicSampling.ts"
import { followPolicy } from "./followPolicy.ts"
import { asideRecords, problemsOf, unitRecords } from "./ledgerRecords.ts"
import type { Baseline, Policy, Unit, VerifiedUnit } from "./messages.ts"
import type { Pipeline } from "./Pipeline.ts"
import { countInARow, isPoison, TooManySetAside, whyAside } from "./poison.ts"
import type { SetAside } from "./poison.ts"
import type { Position, Skipped } from "./ProblemSource.ts"
import { syncPool } from "./samplerPool.ts"
import type { Running } from "./startRun.ts"

/** What sampling goes on from: with it and a policy, the groups of a step are always the same. */
export interface SamplingState {
  readonly problems: Position
  readonly baseline: Baseline
  /** Units in a row that were set aside, up to here. */
  readonly asideInARow: number
}

/** A step whose groups wait in the buffer, and how they were come by. */
export interface Sampled {
  /** Counting from 1. */
  readonly step: number
  /** Ids of all problems that were judged for it, in the order of the stream. */
  readonly judged: ReadonlyArray<string>
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
 * enough. What is sampled follows from the policy and the state alone, whoever was done first. A unit that crashes its sampler
 * or verifier again when it is asked again is set aside: the step learns from the others.
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
  const judged: Array<string> = []
  let aside = 0
  let { asideInARow } = before
  let problems = before.problems
  let skipped: Skipped = { tooShort: 0, tooEasy: 0 }

  const nextUnit = Effect.gen(function* () {
    const found = yield* search.ask("Next", { after: problems })
    problems = found.position
    skipped = found.skipped
    return found.unit
  })
  const setAside = Effect.fnUntraced(function* (unit: Unit, why: SetAside) {
    yield* ledger.append(asideRecords(step, unit, why))
    aside += problemsOf(unit).length
    return why
  })
  const sampleAndVerify = Effect.fnUntraced(function* (unit: Unit) {
    const groups = yield* verifier.ask("Verify", { groups: yield* pool.sample(unit), policy, baseline })
    yield* ledger.append(unitRecords(step, unit, groups))
    return { step, index: unit.index, policyUpdates: policy.updates, groups } satisfies VerifiedUnit
  })
  const through = (unit: Unit) => {
    const known = running.knownPoison.get(unit.index)
    if (known !== undefined) return setAside(unit, known)
    return Effect.catchIf(sampleAndVerify(unit), isPoison, (crash) => setAside(unit, whyAside(crash)))
  }
  const round = Effect.gen(function* () {
    const units = yield* Effect.replicateEffect(nextUnit, unitsPerStep(pipeline))
    const done = yield* Effect.forEach(units, through, { concurrency: samplers.length })
    const count = countInARow(
      asideInARow,
      done.map((outcome) => ("groups" in outcome ? "verified" : outcome))
    )
    if (count instanceof TooManySetAside) return yield* count
    asideInARow = count
    const whole = done.filter((outcome) => "groups" in outcome)
    judged.push(...whole.flatMap(({ groups }) => groups.map(({ problem }) => problem.id)))
    verified.push(...whole)
    return whole.flatMap(({ groups }) => groups)
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
    "problems/aside": aside,
    "sampling/rounds": attempts,
    "documents/too_short": skipped.tooShort,
    "documents/too_easy": skipped.tooEasy,
    "seconds/sample": ((yield* Clock.currentTimeMillis) - began) / 1000
  }
  return { step, judged, put: groups.length, metrics, after: { problems, baseline, asideInARow } } satisfies Sampled
})

import { Effect } from "effect"
import type { Group } from "../rl/Group.ts"
import { collect } from "../rl/dynamicSampling.ts"
import { unitRecords } from "./ledgerRecords.ts"
import type { Policy, Unit } from "./messages.ts"
import type { Pipeline } from "./Pipeline.ts"
import { syncPool } from "./samplerPool.ts"
import type { Running } from "./startRun.ts"

/** What a step learns from, and how it was come by. */
export interface Sampled {
  readonly groups: ReadonlyArray<Group>
  /** Ids of all problems that were asked for it, in the order of the stream. */
  readonly asked: ReadonlyArray<string>
  readonly metrics: Readonly<Record<string, number>>
}

/** Units that a step samples at a time. */
const unitsPerStep = ({ batch }: Pick<Pipeline, "batch">): number =>
  Math.ceil(batch.documentsPerStep / batch.documentsPerUnit)

/** The most groups that a step learns from. */
export const groupsPerStep = ({ batch, problems }: Pick<Pipeline, "batch" | "problems">): number =>
  unitsPerStep({ batch }) * batch.documentsPerUnit * problems.settings.positionsPerDocument

/**
 * The groups of a step (counting from 0): rounds of sampling with `policy` until dynamic sampling has enough. In a round
 * units go through sampler and verifier into the buffer, and come out of it in their order, whoever was done first.
 */
export const sampleStep = Effect.fnUntraced(function* (running: Running, policy: Policy, step: number) {
  const { pipeline, source, actors, ledger } = running
  const { samplers, verifier, buffer } = actors
  const pool = yield* syncPool(samplers, policy)
  const ages: Array<number> = []
  const asked: Array<string> = []
  let stale = 0

  const through = Effect.fnUntraced(function* (unit: Unit) {
    const groups = yield* verifier.ask("Verify", { groups: yield* pool.sample(unit), policy })
    yield* ledger.append(unitRecords(step + 1, unit, groups))
    yield* buffer.ask("Put", { unit: { index: unit.index, policyUpdates: policy.updates, groups } })
  })
  const round = Effect.gen(function* () {
    const units = yield* Effect.replicateEffect(source.next, unitsPerStep(pipeline))
    asked.push(...units.flatMap(({ documents }) => documents.flatMap(({ problems }) => problems.map(({ id }) => id))))
    yield* Effect.forEach(units, through, { concurrency: samplers.length, discard: true })
    const taken = yield* buffer.ask("Take", { updates: policy.updates })
    stale += taken.stale
    ages.push(...taken.units.map(({ policyUpdates }) => policy.updates - policyUpdates))
    return taken.units.flatMap(({ groups }) => groups)
  })

  const { groups, groupsSampled, attempts } = yield* collect(
    pipeline.dynamicSampling,
    step,
    groupsPerStep(pipeline),
    () => round
  )
  const { tooShort, tooEasy } = source.skipped()
  const metrics = {
    policy_age: ages.reduce((sum, age) => sum + age, 0) / Math.max(1, ages.length),
    "groups/sampled": groupsSampled,
    "groups/stale": stale,
    "sampling/rounds": attempts,
    "documents/too_short": tooShort,
    "documents/too_easy": tooEasy
  }
  return { groups, asked, metrics } satisfies Sampled
})

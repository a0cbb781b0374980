/** Parts of a pipeline with a bug each, of the kind that only some schedules bring to light. */
import { Effect } from "effect"
import type { OptimizerStage } from "../../src/pipeline/Optimizer.ts"
import * as ReplayBuffer from "../../src/pipeline/ReplayBuffer.ts"
import type { SamplerStage } from "../../src/pipeline/Sampler.ts"
import type { RolloutGroup } from "../../src/rl/Group.ts"
import { PolicyVersion } from "../../src/rl/Rollout.ts"
import type { DiskService } from "../../src/storage/Disk.ts"
import { simulate } from "../../src/testing/index.ts"
import type { SimulatedParts, SimulationSettings } from "../../src/testing/index.ts"
import { policy, stages, uneven } from "../../src/testing/simulation/modelled.ts"

/** A disk that acknowledges the ledger's syncs before it has done them. */
const acknowledgesBeforeSync = (disk: DiskService): DiskService => ({
  ...disk,
  open: (path, mode) =>
    Effect.map(disk.open(path, mode), (file) => (path.endsWith(".ledger") ? { ...file, sync: Effect.void } : file))
})

/** A sampler that bumps its version before it applies the weights: it acknowledges them and goes on loading. */
const bumpsBeforeApply = (): SamplerStage => {
  const { make, ...stage } = stages(uneven).sampler
  return {
    ...stage,
    make: (context) =>
      Effect.gen(function* () {
        const { Sync, Sample } = yield* make(context)
        let named = ""
        return {
          Sync: ({ policy: given }) =>
            Effect.gen(function* () {
              // The first policy is there before anyone asks for it.
              if (named === "") yield* Sync({ policy: given })
              else yield* Effect.forkDetach(Effect.delay(Sync({ policy: given }), "5 millis"))
              named = given.version
              return given.version
            }),
          Sample: ({ unit, version }) =>
            Sample({ unit, version }).pipe(
              Effect.catchTag("NotSynced", (error) =>
                error.has === "none" ? error : Sample({ unit, version: PolicyVersion.make(error.has) })
              ),
              Effect.map((groups) => groups.map((group) => namedAfter(version, group)))
            )
        }
      })
  }
}

const namedAfter = (policyVersion: PolicyVersion, { problem, rollouts }: RolloutGroup): RolloutGroup => ({
  problem,
  rollouts: rollouts.map((rollout) => ({ ...rollout, policyVersion }))
})

/** A buffer that makes room by forgetting its oldest unit, and says nothing. */
const dropsSilently = (): ReplayBuffer.ReplayBufferStage => {
  const { make, ...stage } = ReplayBuffer.make()
  return {
    ...stage,
    make: (context) =>
      Effect.map(make(context), ({ Put, Take }) => {
        let waiting: Array<{ readonly step: number; readonly index: number }> = []
        const dropped = new Set<number>()
        return {
          Put: ({ unit }) => {
            waiting.push(unit)
            if (waiting.length > 3) dropped.add(waiting.shift()?.index ?? -1)
            return Put({ unit })
          },
          Take: (asked) => {
            waiting = waiting.filter(({ step }) => step !== asked.step)
            return Effect.map(Take(asked), ({ units, stale }) => ({
              units: units.filter(({ index }) => !dropped.has(index)),
              stale
            }))
          }
        }
      })
  }
}

/** An optimizer that makes its update again when it is asked again, because it does not look at the step. */
const retriesTwice = (): OptimizerStage => {
  const { make, ...stage } = stages(uneven).optimizer
  let updates = 0
  return {
    ...stage,
    make: (context, store) =>
      Effect.map(make(context, store), ({ Update }) => ({
        Update: ({ groups }) => Update({ step: 1000 + updates++, groups })
      }))
  }
}

/** A sampler that comes back with the base weights under the name of the version that it had. */
const servesBaseWeights = (): SamplerStage => {
  const { make, ...stage } = stages(uneven).sampler
  let had: Parameters<SamplerHandlers["Sync"]>[0]["policy"] | undefined
  return {
    ...stage,
    make: (context) =>
      Effect.gen(function* () {
        const { Sync, Sample } = yield* make(context)
        const restored = had
        if (restored !== undefined) {
          yield* Sync({ policy: { ...restored, weights: policy.stored.weights } }).pipe(Effect.orDie)
        }
        return {
          Sync: ({ policy: given }) => {
            const isThere = restored?.version === given.version
            had = given
            return isThere ? Effect.succeed(given.version) : Sync({ policy: given })
          },
          Sample
        }
      })
  }
}

type SamplerHandlers = Effect.Success<ReturnType<SamplerStage["make"]>>

interface PlantedBug {
  readonly name: string
  /** One that finds it soon; the long tests take others. */
  readonly seed: number
  readonly parts: () => SimulatedParts
  readonly settings: SimulationSettings
  /** What the simulation says is wrong. */
  readonly says: RegExp
}

export const plantedBugs: ReadonlyArray<PlantedBug> = [
  {
    name: "a disk that acknowledges before it has synced",
    seed: 3,
    parts: () => ({}),
    settings: { disk: acknowledgesBeforeSync },
    says: /^(power is lost, and with it the record of an update|the records of \d+ steps? (is|are) lost)/
  },
  {
    name: "a sampler that bumps its version before it applies the weights",
    seed: 5,
    parts: () => ({ sampler: bumpsBeforeApply() }),
    settings: {},
    says: /^the rollouts of unit \d+ are not those of the policy that they claim to be from/
  },
  {
    name: "a buffer that drops silently",
    seed: 7,
    parts: () => ({ buffer: dropsSilently() }),
    settings: {},
    says: /^step \d is given 1 groups and told of 0 that are too old, of 2 that were put/
  },
  {
    name: "an optimizer whose retry doubles an update",
    seed: 6,
    parts: () => ({ optimizer: retriesTwice() }),
    settings: {},
    says: /^(versions are not monotone|the policy of \d updates is not the one)/
  },
  {
    name: "a restarted sampler that serves the base weights",
    seed: 5,
    parts: () => ({ sampler: servesBaseWeights() }),
    settings: {},
    says: /^the rollouts of unit \d+ are not those of the policy that they claim to be from/
  }
]

/** What a simulation says, after how many schedules, and the faults of the one that it was shrunk to. */
export const findingOf = async (parts: PlantedBug["parts"], settings: SimulationSettings) => {
  const finding = await simulate(parts, settings)
    .check()
    .then(
      () => "nothing is wrong",
      ({ message }: Error) => message
    )
  const schedules = Number(/after (\d+) tests/.exec(finding)?.[1] ?? Infinity)
  return { finding, schedules, faults: finding.split("\n").filter((line) => /^ {2}life \d+, \S+ .*\(/.test(line)) }
}

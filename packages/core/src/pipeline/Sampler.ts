import { Effect, Schema } from "effect"
import type { ActorRef } from "../actor/index.ts"
import * as Protocol from "../actor/Protocol.ts"
import type { Problem } from "../data/NextToken.ts"
import type { SampledCompletion } from "../model/Generator.ts"
import { makeGenerator } from "../model/Generator.ts"
import { rolloutUniforms } from "../random/draw.ts"
import { packRequest } from "./packRequest.ts"
import type { RolloutGroup as RolloutGroupType } from "../rl/Group.ts"
import type { PolicyVersion as Version, Rollout } from "../rl/Rollout.ts"
import { behaviourLogprobs, PolicyVersion } from "../rl/Rollout.ts"
import { BackendError, CompileError, ExecutionError } from "../tensor/Backend.ts"
import { makeBoundedProgramCache, programsKept } from "../tensor/ProgramCache.ts"
import type { Policy as PolicyType, Unit as UnitType } from "./messages.ts"
import { Policy, RolloutGroup, Unit } from "./messages.ts"
import { makeResident } from "./residentWeights.ts"
import type { RunContext } from "./RunContext.ts"
import type { Stage } from "./Stage.ts"

/** A sampler was asked for rollouts of a policy that it has not loaded: the proof was not about it, or it restarted. */
export class NotSynced extends Schema.TaggedError<NotSynced>()("NotSynced", {
  wanted: Schema.String,
  has: Schema.String
}) {
  override get message(): string {
    return `the sampler has policy ${this.has}, not ${this.wanted}`
  }
}

const failures = Schema.Union([NotSynced, CompileError, ExecutionError, BackendError])

/** Policy in, acknowledged by its version; problems in, groups of rollouts out. */
export const SamplerProtocol = Protocol.make(
  Protocol.message("Sync", { payload: { policy: Policy }, success: PolicyVersion, error: failures }),
  Protocol.message("Sample", {
    payload: { unit: Unit, version: PolicyVersion },
    success: Schema.Array(RolloutGroup),
    error: failures
  })
)
export type SamplerProtocol = typeof SamplerProtocol

export interface SamplerSettings {
  /** G: rollouts of each problem */
  readonly groupSize: number
  readonly temperature: number
  /** Tokens of the longest completion */
  readonly maxTokens: number
}

export type SamplerStage = Stage<SamplerProtocol, SamplerSettings>

/** Defaults: groups of 8 at temperature 0.8 (the paper's), 64 tokens; what generates is the model, or a stand-in for it. */
export const make = (given: Partial<SamplerSettings> = {}, generatorOf = makeGenerator): SamplerStage => {
  const settings = { groupSize: 8, temperature: 0.8, maxTokens: 64, ...given }
  return {
    protocol: SamplerProtocol,
    settings,
    make: (context) => makeHandlers(context, settings, generatorOf)
  }
}

/** A sampler that has acknowledged a policy version: only such a one can be asked for rollouts. */
export interface Synced {
  readonly ref: ActorRef<SamplerProtocol>
  readonly version: Version
}

/** Loads a policy into a sampler; its acknowledgement is the proof that `sample` wants. */
export const sync = (ref: ActorRef<SamplerProtocol>, policy: PolicyType) =>
  Effect.map(ref.ask("Sync", { policy }), (version): Synced => ({ ref, version }))

export const sample = ({ ref, version }: Synced, unit: UnitType) => ref.ask("Sample", { unit, version })

const makeHandlers = Effect.fnUntraced(function* (
  context: RunContext,
  settings: SamplerSettings,
  generatorOf: typeof makeGenerator
) {
  const { config, seed, stop } = context
  const programs = yield* makeBoundedProgramCache(programsKept.sampling)
  const sampling = { _tag: "temperature", temperature: settings.temperature } as const
  const generator = yield* generatorOf(config, { ...settings, sampling, stop }, programs)
  const resident = yield* makeResident
  const { weights } = resident
  let loaded: Version | undefined

  const load = Effect.fnUntraced(function* (policy: PolicyType) {
    loaded = undefined
    yield* resident.hold(policy.version, policy.weights)
    loaded = policy.version
    return policy.version
  })

  const rollouts = Effect.fnUntraced(function* ({ documents }: UnitType, version: Version) {
    if (loaded !== version) return yield* new NotSynced({ wanted: version, has: loaded ?? "none" })
    const problems = documents.map((document) => document.problems)
    const positions = Math.max(...problems.map((own) => own.length))
    const request = packRequest(context, settings, problems, positions, (problem, rollout) =>
      rolloutUniforms(seed, { problem: problem.id, rollout }, settings.maxTokens)
    )
    const completions = yield* generator.generate(weights, request)
    return problems.flatMap((own, document) =>
      own.map((problem, position): RolloutGroupType => {
        const first = (document * positions + position) * settings.groupSize
        const group = completions.slice(first, first + settings.groupSize)
        return { problem, rollouts: group.map((completion, i) => rollout(problem, i, completion, version)) }
      })
    )
  })

  const rollout = (problem: Problem, index: number, sampled: SampledCompletion, version: Version): Rollout => ({
    id: `${problem.id}/${index}`,
    problem,
    index,
    policyVersion: version,
    completion: { tokens: sampled.tokens, ended: sampled.ended },
    behaviourLogprobs: behaviourLogprobs(sampled.logprobs),
    temperature: settings.temperature,
    bytes: context.tokenizer.bytesOf(sampled.tokens)
  })

  return {
    Sync: ({ policy }: { readonly policy: PolicyType }) => load(policy),
    Sample: ({ unit, version }: { readonly unit: UnitType; readonly version: Version }) => rollouts(unit, version)
  }
})

/** What actors of a pipeline hand each other, as schemas. In process the values go by reference, unencoded. */
import { Schema } from "effect"
import type { Problem as ProblemType } from "../data/NextToken.ts"
import type { KeptWeights, Weights } from "../model/weights.ts"
import type { LearnerState } from "../optim/Learner.ts"
import { outcomes } from "../prompt/Prediction.ts"
import type { Prediction as PredictionType } from "../prompt/Prediction.ts"
import type { Verdict as VerdictType } from "../reward/Verdict.ts"
import { unscorableKinds } from "../reward/Verdict.ts"
import type { BehaviourLogprobs } from "../rl/Rollout.ts"
import { PolicyVersion } from "../rl/Rollout.ts"
import type { HostF32, HostHalf } from "../tensor/HostTensor.ts"

const bytes: Schema.Codec<Uint8Array> = Schema.instanceOf(Uint8Array)
const int32s: Schema.Codec<Int32Array> = Schema.instanceOf(Int32Array)

const isF32 = (value: unknown): value is HostF32 =>
  typeof value === "object" && value !== null && "data" in value && value.data instanceof Float32Array

const isHalfTensor = (value: unknown): value is HostHalf =>
  typeof value === "object" && value !== null && "data" in value && value.data instanceof Uint16Array

const isMoments = (value: unknown): value is Weights =>
  typeof value === "object" && value !== null && Object.values(value).every(isF32)

const isWeights = (value: unknown): value is KeptWeights =>
  typeof value === "object" &&
  value !== null &&
  Object.values(value).every((tensor) => isF32(tensor) || isHalfTensor(tensor))

/** In f32, or in two bytes where training leaves them alone. */
export const WeightsSchema = Schema.declare(isWeights)

/** Weights under their content hash; `updates` says how many made them. */
export const Policy = Schema.Struct({ version: PolicyVersion, updates: Schema.Int, weights: WeightsSchema })
export type Policy = typeof Policy.Type

/** Weights that trail behind the policy's (`followPolicy`); `version` is that of the policy that they have moved towards last. */
export const Baseline = Schema.Struct({ version: PolicyVersion, weights: WeightsSchema })
export type Baseline = typeof Baseline.Type

export const LearnerStateSchema: Schema.Codec<LearnerState> = Schema.Struct({
  updates: Schema.Int,
  moments: Schema.declare(isMoments)
})

export const TokenizedDocument = Schema.Struct({ id: Schema.String, tokens: int32s })

export const Problem: Schema.Codec<ProblemType> = Schema.Struct({
  id: Schema.String,
  document: TokenizedDocument,
  anchor: Schema.Int,
  continuation: Schema.Struct({ bytes, boundaries: Schema.Array(Schema.Int) })
})

/**
 * What one sampler works on at a time: some documents with their problems. Units are cut from the problem stream, never
 * from the number of samplers, so the same programs run on the same shapes however many samplers there are.
 */
export const Unit = Schema.Struct({
  index: Schema.Int,
  documents: Schema.Array(Schema.Struct({ epoch: Schema.Int, problems: Schema.Array(Problem) }))
})
export type Unit = typeof Unit.Type

const isBehaviour = (value: unknown): value is BehaviourLogprobs => value instanceof Float32Array

const Rollout = Schema.Struct({
  id: Schema.String,
  problem: Problem,
  index: Schema.Int,
  policyVersion: PolicyVersion,
  completion: Schema.Struct({ tokens: int32s, ended: Schema.Literals(["stop", "length"]) }),
  behaviourLogprobs: Schema.declare(isBehaviour),
  temperature: Schema.Number,
  bytes
})

export const RolloutGroup = Schema.Struct({
  problem: Problem,
  rollouts: Schema.Array(Rollout)
})

const isPrediction = (value: unknown): value is PredictionType =>
  typeof value === "object" && value !== null && "outcome" in value && outcomes.some((name) => name === value.outcome)

const Verdict: Schema.Codec<VerdictType> = Schema.Union([
  Schema.TaggedStruct("Scored", { value: Schema.Number, parts: Schema.Record(Schema.String, Schema.Number) }),
  Schema.TaggedStruct("Unscorable", { kind: Schema.Literals(unscorableKinds), reason: Schema.String })
])

export const Group = Schema.Struct({
  problem: Problem,
  rollouts: Schema.Array(
    Schema.Struct({ rollout: Rollout, prediction: Schema.declare(isPrediction), verdict: Verdict })
  )
})

/** Groups of one unit that a step (counting from 1) is to learn from, and the updates that their policy had behind it. */
export const VerifiedUnit = Schema.Struct({
  step: Schema.Int,
  index: Schema.Int,
  policyUpdates: Schema.Int,
  groups: Schema.Array(Group)
})
export type VerifiedUnit = typeof VerifiedUnit.Type

export const Numbers = Schema.Record(Schema.String, Schema.Number)

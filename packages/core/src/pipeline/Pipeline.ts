/** A pipeline of reinforcement pre-training, put together from its stages, and the run of it. */
import type { Effect } from "effect"
import type { ActorCrashed, ActorStopped } from "../actor/index.ts"
import type { Problems } from "../data/Problems.ts"
import type { Template } from "../prompt/Template.ts"
import { boxed } from "../prompt/Template.ts"
import type { DynamicSampling } from "../rl/dynamicSampling.ts"
import { off } from "../rl/dynamicSampling.ts"
import type { Backend } from "../tensor/Backend.ts"
import type { Policy } from "./messages.ts"
import type { OptimizerStage } from "./Optimizer.ts"
import type { PolicySource } from "./policySource.ts"
import type { ReplayBufferStage } from "./ReplayBuffer.ts"
import type { SamplerStage } from "./Sampler.ts"
import type { StageError } from "./Stage.ts"
import type { VerifierStage } from "./Verifier.ts"

export { resume, run } from "./runPipeline.ts"
export type { PipelineError, ResumeResult, RunResult, StepReport } from "./runPipeline.ts"
export type { ResumeOptions } from "./resumeRun.ts"
export type { RunOptions } from "./RunSettings.ts"

/** Measures a policy on held-out text every so many steps; the best checkpoint by it is kept. Higher is better. */
export interface Validation {
  readonly metric: string
  readonly every: number
  readonly measure: (policy: Policy) => Effect.Effect<number, StageError | ActorCrashed | ActorStopped, Backend>
}

/** How much goes into one update, and how it is cut. */
export interface BatchSettings {
  readonly documentsPerStep: number
  /** Documents that one sampler works on at a time: fixed, so that results do not depend on the number of samplers. */
  readonly documentsPerUnit: number
  /** Documents shuffled among each other at a time; 1 keeps the order of the corpus. */
  readonly shuffleBuffer: number
}

export interface Pipeline {
  readonly policy: PolicySource
  readonly problems: Problems
  readonly template: Template
  readonly sampler: SamplerStage
  readonly verifier: VerifierStage
  readonly buffer: ReplayBufferStage
  readonly optimizer: OptimizerStage
  readonly batch: BatchSettings
  readonly dynamicSampling: DynamicSampling
  /**
   * Steps, 0 to 4, that sampling is ahead of learning: step k learns from rollouts of the policy that step k - 1 - lag has made.
   * From 1 on sampling and updates go on side by side, and the loss has to be `Loss.truncated`.
   */
  readonly lag: number
  /** None, or one. */
  readonly validation: ReadonlyArray<Validation>
}

type Required = "policy" | "problems" | "sampler" | "verifier" | "buffer" | "optimizer"
export type PipelineOptions = Pick<Pipeline, Required> &
  Partial<Pick<Pipeline, "template" | "dynamicSampling" | "lag" | "validation">> & {
    readonly batch?: Partial<BatchSettings>
  }

/** Stages in, a pipeline out: plain data that `run` brings to life. */
export const make = ({ batch, ...options }: PipelineOptions): Pipeline => ({
  template: boxed,
  dynamicSampling: off,
  lag: 0,
  validation: [],
  ...options,
  batch: { documentsPerStep: 4, documentsPerUnit: 2, shuffleBuffer: 256, ...batch }
})

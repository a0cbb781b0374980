import type { Spread } from "./Spread.ts"
import type { Phase } from "./stepper.ts"
import type { StepShape } from "./StepShape.ts"
import type { TimerLag } from "./timerLag.ts"
import type { Sequences } from "./workloads.ts"

/** What every workload says: what ran, and how fast beside the matrix products alone. */
interface Common {
  readonly backend: string
  readonly parameters: number
  readonly steps: number
  readonly stepSeconds: Spread
  /** Of the backend's own product of two 1024 x 1024 matrices, the fastest before and after the measured steps */
  readonly ceilingGflops: number
  readonly timerLagMs: TimerLag
  /** Peak resident memory of the process */
  readonly rssBytes: number
}

export interface StepReport extends Common {
  readonly workload: "step"
  readonly shape: StepShape & { readonly rollouts: number }
  readonly phases: Readonly<Record<Phase, Spread>>
  readonly rolloutsPerSecond: number
  readonly decodeTokensPerSecond: number
  /** Rows of the update, trunks and branches, per second of forward, backward and optimizer */
  readonly trainTokensPerSecond: number
  readonly flops: { readonly sample: number; readonly train: number; readonly step: number }
  readonly shareOfCeiling: { readonly sample: number; readonly train: number; readonly step: number }
  readonly paddingShare: number
  readonly compileSeconds: number
  readonly messages: {
    readonly perSecond: number
    readonly microseconds: number
    readonly perStep: number
    readonly shareOfStep: number
  }
  /** Largest difference between the log-probabilities of sampler and learner, nats */
  readonly logprobGap: number
}

export interface TrainReport extends Common {
  readonly workload: "train"
  readonly shape: Sequences
  readonly phases: { readonly train: Spread; readonly optimizer: Spread }
  readonly trainTokensPerSecond: number
  readonly flops: { readonly step: number }
  /** train: of forward and backward; step: with the optimizer */
  readonly shareOfCeiling: { readonly train: number; readonly step: number }
}

export interface DecodeReport extends Common {
  readonly workload: "decode"
  readonly shape: Sequences
  readonly phases: { readonly sample: Spread }
  readonly decodeTokensPerSecond: number
  readonly flops: { readonly step: number }
  readonly shareOfCeiling: { readonly sample: number }
}

export interface SlopeReport extends Pick<Common, "backend" | "parameters" | "steps"> {
  readonly workload: "slope"
  readonly shape: StepShape
  /** At each context: the fastest step with G and with 2 G rollouts an anchor, and what one of the added ones costs */
  readonly points: ReadonlyArray<{
    readonly context: number
    readonly stepSeconds: readonly [number, number]
    readonly secondsPerRollout: number
  }>
  /** Dearest rollout over cheapest, less one: 0 is flat. */
  readonly spread: number
}

export type Report = StepReport | TrainReport | DecodeReport | SlopeReport

import type { Policy } from "./messages.ts"
import type { SamplingState } from "./sampleStep.ts"

/** Where a run stands after so many steps: with the optimizer's state, all that it goes on from. */
export interface Progress {
  readonly step: number
  /** The policies of the steps `step - lag` to `step`, those that there are: the last is the current one. */
  readonly recent: readonly [Policy, ...ReadonlyArray<Policy>]
  /** After the sampling of step `step`; what was sampled ahead of that is sampled again. */
  readonly sampling: SamplingState
  /** Of the last step. */
  readonly metrics: Readonly<Record<string, number>>
}

/** The current policy. */
export const policyOf = ({ recent }: Progress): Policy => recent[recent.length - 1]

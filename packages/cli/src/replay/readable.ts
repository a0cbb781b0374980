import type { Prediction, Replay, Reward } from "@foretoken/core"

/** A stored rollout for people and as JSON. Texts are views of the bytes: what is no UTF-8 shows as U+FFFD. */
export interface ReadableRollout extends ReadableStanding {
  readonly id: string
  readonly index: number
  /** Which weights sampled it. */
  readonly policy: string
  readonly completion: string
  readonly outcome: Prediction.Outcome
  /** null where the completion holds no prediction. */
  readonly prediction: string | null
}

export interface ReadableStanding {
  readonly value: number | null
  /** Why there is no value. */
  readonly unscorable?: string
  /** null: it left its group. */
  readonly advantage: number | null
}

export const readableRollout = ({ rollout, prediction, standing }: Replay.ReplayedRollout): ReadableRollout => ({
  id: rollout.id,
  index: rollout.index,
  policy: rollout.policyVersion,
  completion: textOf(rollout.bytes),
  outcome: prediction.outcome,
  prediction: prediction.outcome === "answered" ? textOf(prediction.bytes) : null,
  ...readableStanding(standing)
})

export const readableStanding = ({ verdict, advantage }: Replay.Standing): ReadableStanding => ({
  ...valueOf(verdict),
  advantage
})

const valueOf = (verdict: Reward.Verdict): Pick<ReadableStanding, "value" | "unscorable"> =>
  verdict._tag === "Scored" ? { value: verdict.value } : { value: null, unscorable: verdict.reason }

export const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)

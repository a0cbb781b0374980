/**
 * What a reward says of one rollout. An unscorable rollout leaves its group: it never turns into a zero, because zero
 * is a verdict ("wrong") that moves the policy.
 */
export type Verdict = Scored | Unscorable

/** `value` is what the advantage sees; `parts` are the values of the leaf rewards it was made of, before weights. */
export interface Scored {
  readonly _tag: "Scored"
  readonly value: number
  readonly parts: Readonly<Record<string, number>>
}

/** `kind` is what is counted, `reason` is for people. */
export interface Unscorable {
  readonly _tag: "Unscorable"
  readonly kind: UnscorableKind
  readonly reason: string
}

/**
 * - `declined`: the reward itself said so
 * - `threw`, `failed`: it threw, or its effect failed
 * - `timeout`: it gave no answer in time
 * - `not-a-number`: its value is NaN, infinite, or no number at all
 * - `miscounted`: it gave another number of verdicts than there are rollouts
 */
export const unscorableKinds = ["declined", "threw", "failed", "timeout", "not-a-number", "miscounted"] as const
export type UnscorableKind = (typeof unscorableKinds)[number]

export const scored = (value: number, parts: Readonly<Record<string, number>>): Scored => ({
  _tag: "Scored",
  value,
  parts
})

export const unscorable = (reason: string, kind: UnscorableKind = "declined"): Unscorable => ({
  _tag: "Unscorable",
  kind,
  reason
})

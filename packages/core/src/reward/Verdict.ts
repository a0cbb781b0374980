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

export interface Unscorable {
  readonly _tag: "Unscorable"
  readonly reason: string
}

export const scored = (value: number, parts: Readonly<Record<string, number>>): Scored => ({
  _tag: "Scored",
  value,
  parts
})

export const unscorable = (reason: string): Unscorable => ({ _tag: "Unscorable", reason })

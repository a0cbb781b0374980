import { Effect, Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import type { VerifiedUnit as Unit } from "./messages.ts"
import { VerifiedUnit } from "./messages.ts"
import type { Stage } from "./Stage.ts"

/** There is no room: nothing was stored, and nothing that was stored is lost. */
export class BufferFull extends Schema.TaggedError<BufferFull>()("BufferFull", {
  capacity: Schema.Int,
  stored: Schema.Int,
  offered: Schema.Int
}) {
  override get message(): string {
    return `the replay buffer holds ${this.stored} of ${this.capacity} groups and cannot take ${this.offered} more`
  }
}

/** What a step learns from, in the order of the units, and how many groups were too old for it. */
const Taken = Schema.Struct({ units: Schema.Array(VerifiedUnit), stale: Schema.Int })

export const ReplayBufferProtocol = Protocol.make(
  Protocol.message("Put", { payload: { unit: VerifiedUnit }, error: BufferFull }),
  /**
   * Takes out what a step is to learn from; groups of a policy more than `maxPolicyAge` updates behind `updates` are dropped
   * and counted.
   */
  Protocol.message("Take", { payload: { step: Schema.Int, updates: Schema.Int }, success: Taken })
)
export type ReplayBufferProtocol = typeof ReplayBufferProtocol

/** Updates that rollouts may be behind, at most: past that they say little of the policy that learns from them. */
export const largestLag = 4

export interface ReplayBufferSettings {
  /** Groups that fit; more are refused. A run has at most those of `lag + 1` steps here, and does not start where they do not fit. */
  readonly capacity: number
  /** Updates that a policy may be behind the one that learns from it: at least the lag of the run. */
  readonly maxPolicyAge: number
}

export type ReplayBufferStage = Stage<ReplayBufferProtocol, ReplayBufferSettings>

export const make = (given: Partial<ReplayBufferSettings> = {}): ReplayBufferStage => {
  const settings = { capacity: 512, maxPolicyAge: largestLag, ...given }
  return { protocol: ReplayBufferProtocol, settings, make: () => Effect.sync(() => handlers(settings)) }
}

const groupCount = (units: ReadonlyArray<Unit>): number => units.reduce((sum, { groups }) => sum + groups.length, 0)

const handlers = ({ capacity, maxPolicyAge }: ReplayBufferSettings) => {
  let stored: ReadonlyArray<Unit> = []
  return {
    Put: ({ unit }: { readonly unit: Unit }) => {
      const held = groupCount(stored)
      if (held + unit.groups.length > capacity) {
        return Effect.fail(new BufferFull({ capacity, stored: held, offered: unit.groups.length }))
      }
      stored = [...stored, unit]
      return Effect.void
    },
    Take: ({ step, updates }: { readonly step: number; readonly updates: number }) =>
      Effect.sync(() => {
        const [own, others] = split(stored, (unit) => unit.step === step)
        const [old, fresh] = split(own, ({ policyUpdates }) => updates - policyUpdates > maxPolicyAge)
        stored = others
        return { units: fresh.toSorted((a, b) => a.index - b.index), stale: groupCount(old) }
      })
  }
}

const split = <A>(all: ReadonlyArray<A>, is: (a: A) => boolean): readonly [ReadonlyArray<A>, ReadonlyArray<A>] => [
  all.filter(is),
  all.filter((a) => !is(a))
]

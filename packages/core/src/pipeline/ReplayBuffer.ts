import { Effect, Schema } from "effect"
import * as Protocol from "../actor/Protocol.ts"
import type { VerifiedUnit as Unit } from "./messages.ts"
import { VerifiedUnit } from "./messages.ts"
import type { RunContext } from "./RunContext.ts"
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

/** A buffer that gave back fewer groups than were put into it, and does not say that it left any out. */
export class GroupsLost extends Schema.TaggedError<GroupsLost>()("GroupsLost", {
  step: Schema.Int,
  put: Schema.Int,
  taken: Schema.Int,
  stale: Schema.Int
}) {
  override get message(): string {
    const { step, put, taken, stale } = this
    return `the replay buffer was given ${put} groups for step ${step} and has ${taken}; it says that it left out ${stale}`
  }
}

/** What a step learns from, in the order of the units, and how many groups were left out: too old for it. */
const Taken = Schema.Struct({ units: Schema.Array(VerifiedUnit), stale: Schema.Int })

export const ReplayBufferProtocol = Protocol.make(
  /** A unit that is there already takes its own place. */
  Protocol.message("Put", { payload: { unit: VerifiedUnit }, error: BufferFull }),
  /**
   * What a step is to learn from; groups of a policy more than `maxPolicyAge` updates behind `updates` are left out and
   * counted. Asked again for the same step it answers the same. Steps before that one are gone.
   */
  Protocol.message("Take", { payload: { step: Schema.Int, updates: Schema.Int }, success: Taken })
)
export type ReplayBufferProtocol = typeof ReplayBufferProtocol

/** Updates that rollouts may be behind, at most: past that they say little of the policy that learns from them. */
export const largestLag = 4

export interface ReplayBufferSettings {
  /** Groups that fit. A run has at most those of `lag + 1` steps here. */
  readonly capacity: number
  /**
   * What becomes of groups that do not fit. refuse: the run ends with `BufferFull`, and does not start where it would come to that.
   * wait: sampling waits until a step is taken out, so that room for one step is enough; results are the same.
   */
  readonly overflow: "refuse" | "wait"
  /** Updates that a policy may be behind the one that learns from it: at least the lag of the run. */
  readonly maxPolicyAge: number
}

export type ReplayBufferStage = Stage<ReplayBufferProtocol, ReplayBufferSettings>

/** Defaults: 512 groups, refused where they do not fit, of any age that a lag can have. */
export const make = (given: Partial<ReplayBufferSettings> = {}): ReplayBufferStage => {
  const settings: ReplayBufferSettings = { capacity: 512, overflow: "refuse", maxPolicyAge: largestLag, ...given }
  return {
    protocol: ReplayBufferProtocol,
    settings,
    make: (context) => Effect.sync(() => handlers(settings, shelfOf(context)))
  }
}

/** What the buffer of a run holds. */
interface Shelf {
  units: ReadonlyArray<Unit>
  /** The step that was taken out last: its units take no room any more, and go with the next one. */
  taken: number
}

/** Of each run that there is: a buffer that restarts has lost nothing. */
const shelves = new WeakMap<RunContext, Shelf>()

const shelfOf = (context: RunContext): Shelf => {
  const shelf = shelves.get(context) ?? { units: [], taken: 0 }
  shelves.set(context, shelf)
  return shelf
}

const groupCount = (units: ReadonlyArray<Unit>): number => units.reduce((sum, { groups }) => sum + groups.length, 0)

const handlers = ({ capacity, maxPolicyAge }: ReplayBufferSettings, shelf: Shelf) => ({
  Put: ({ unit }: { readonly unit: Unit }) => {
    const others = shelf.units.filter(({ step, index }) => step !== unit.step || index !== unit.index)
    const stored = groupCount(others.filter(({ step }) => step > shelf.taken))
    if (stored + unit.groups.length > capacity) {
      return Effect.fail(new BufferFull({ capacity, stored, offered: unit.groups.length }))
    }
    shelf.units = [...others, unit]
    return Effect.void
  },
  Take: ({ step, updates }: { readonly step: number; readonly updates: number }) =>
    Effect.sync(() => {
      shelf.units = shelf.units.filter((unit) => unit.step >= step)
      shelf.taken = step
      const own = shelf.units.filter((unit) => unit.step === step)
      const [old, fresh] = split(own, ({ policyUpdates }) => updates - policyUpdates > maxPolicyAge)
      return { units: fresh.toSorted((a, b) => a.index - b.index), stale: groupCount(old) }
    })
})

const split = <A>(all: ReadonlyArray<A>, is: (a: A) => boolean): readonly [ReadonlyArray<A>, ReadonlyArray<A>] => [
  all.filter(is),
  all.filter((a) => !is(a))
]

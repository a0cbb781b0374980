/** Units that crash the actors they are given to: set aside, counted, and left out of what a step learns from. */
import { Schema } from "effect"
import { ActorCrashed } from "../actor/index.ts"
import type { RecordOf } from "../run/Ledger.ts"

/** Where a unit crashed its actor, and how. */
export type SetAside = Pick<RecordOf<"aside">, "during" | "cause">

/** Units one after the other that may be set aside. That all of them are poison is less likely than that their actor is broken. */
const inARow = 3

/** So many units in a row were set aside that something else than the units has to be wrong. */
export class TooManySetAside extends Schema.TaggedError<TooManySetAside>()("TooManySetAside", {
  units: Schema.Int,
  cause: Schema.String
}) {
  override get message(): string {
    return `${this.units} units in a row were set aside, each crashed its actor twice, the last one with: ${this.cause}`
  }
}

/** Whether something failed because a unit has crashed its sampler or verifier, as often as it was tried. */
export const isPoison = (error: unknown): error is ActorCrashed =>
  error instanceof ActorCrashed && (error.request === "Sample" || error.request === "Verify")

export const whyAside = ({ request, message }: ActorCrashed): SetAside => ({
  during: request === "Sample" ? "sampling" : "verifying",
  cause: message.replaceAll(/\s*\n\s*/g, " ")
})

/** How many units in a row have been set aside, after some more in the order of the stream; fails where that is too many. */
export const countInARow = (before: number, more: ReadonlyArray<SetAside | "verified">): number | TooManySetAside => {
  let count = before
  for (const outcome of more) {
    count = outcome === "verified" ? 0 : count + 1
    if (outcome !== "verified" && count > inARow) return new TooManySetAside({ units: count, cause: outcome.cause })
  }
  return count
}

import { Schema } from "effect"

/** A model of the hub that cannot be had: which, and why. */
export class HubError extends Schema.TaggedError<HubError>()("HubError", {
  model: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.model}: ${this.problem}`
  }
}

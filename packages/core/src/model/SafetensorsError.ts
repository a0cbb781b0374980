import { Schema } from "effect"

/** A safetensors file or index that cannot be trusted or read. `path: reason` is one line. */
export class SafetensorsError extends Schema.TaggedError<SafetensorsError>()("SafetensorsError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

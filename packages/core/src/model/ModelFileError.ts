import { Schema } from "effect"

/** A GGUF file, a llama2.c checkpoint or its tokenizer that cannot be trusted or read. `path: reason` is one line. */
export class ModelFileError extends Schema.TaggedError<ModelFileError>()("ModelFileError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

import { Schema } from "effect"

/** A corpus that cannot be read: where (file, with the line where there is one), what is wrong, what would be right. */
export class CorpusError extends Schema.TaggedError<CorpusError>()("CorpusError", {
  /** "gsm8k.jsonl:12", or the file or corpus alone. */
  location: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.location}: ${this.problem}`
  }
}

import { Schema } from "effect"

/** A ledger that cannot be read or written on, though nothing of it is broken. `path: reason` is one line. */
export class LedgerError extends Schema.TaggedError<LedgerError>()("LedgerError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }
}

/** Where the whole records of a ledger end before its bytes do. */
export class LedgerFlaw extends Schema.TaggedError<LedgerFlaw>()("LedgerFlaw", {
  /** torn: a write that a crash cut short, nothing whole follows. damaged: what was once whole is not any more. */
  kind: Schema.Literals(["torn", "damaged"]),
  /** The file. */
  segment: Schema.String,
  /** Where the first byte of it stands that belongs to no whole record. */
  offset: Schema.Int,
  reason: Schema.String
}) {
  override get message(): string {
    return this.kind === "torn"
      ? `${this.segment}: torn at byte ${this.offset} by a crash (${this.reason})`
      : `${this.segment}: damaged at byte ${this.offset} (${this.reason})`
  }
}

import { Schema } from "effect"

/** A file or directory could not be read or written. `path: reason` is one line. */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.reason}`
  }

  /** There is no such file or directory. */
  get isMissing(): boolean {
    return this.reason === reasons["ENOENT"]
  }

  /** Someone else holds it. */
  get isTaken(): boolean {
    return this.reason === reasons["EBUSY"]
  }

  /** From whatever `node:fs` threw. */
  static of(path: string, cause: unknown): StorageError {
    return new StorageError({ path, reason: reasonOf(cause) })
  }
}

/** The system's error codes a user meets, in words. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EEXIST: "already exists",
  ENOTEMPTY: "already exists and is not empty",
  ENOTDIR: "a part of this path is a file, not a directory",
  EISDIR: "is a directory, not a file",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full; nothing was written",
  EDQUOT: "the disk quota is used up; nothing was written",
  EFBIG: "the file would pass the size limit; nothing was written",
  EBUSY: "is in use by another process",
  EMFILE: "too many open files",
  EIO: "the disk reports an input/output error"
}

/** One line for a thrown value: the known system errors in words, the others as they say. */
export const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : ""
  return reasons[code] ?? cause.message.replaceAll(/\s*\n\s*/g, " ")
}

/** One text of a corpus. The id is stable: file name and first line, or the index in a generated corpus. */
export interface Document {
  readonly id: string
  readonly text: string
}

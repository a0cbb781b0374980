import * as Context from "effect/Context"

/** Where the command writes: results to `out`, all else to `error`. */
export class Streams extends Context.Reference<{
  readonly out: (text: string) => void
  readonly error: (text: string) => void
  /** Width of the terminal that `error` is; undefined where it is none. */
  readonly columns: number | undefined
}>("foretoken/Streams", {
  defaultValue: () => ({
    out: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
    // A terminal may not know its width and say 0.
    columns: process.stderr.isTTY ? process.stderr.columns || 80 : undefined
  })
}) {}

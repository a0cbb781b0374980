import { dirname, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { TensorType } from "./HostTensor.ts"
import { showType } from "./Shape.ts"

const sources = dirname(dirname(fileURLToPath(import.meta.url))) + sep
const rooms = ["tensor", "autodiff", "model"].map((room) => sources + room + sep)

/** Where the user called: the first place on the stack outside the rooms that build graphs. */
export const userLine = (): string => {
  const places = wholeStack()
    .split("\n")
    .flatMap((line) => /\(?((?:file:\/\/)?\/[^()\s]+:\d+:\d+)\)?$/.exec(line)?.[1] ?? [])
  const files = places.map((place) => place.replace(/^file:\/\//, ""))
  const place = files.find((file) => !rooms.some((room) => file.startsWith(room))) ?? files.at(-1)
  return place === undefined ? "unknown line" : relative(process.cwd(), place)
}

/** The stack as deep as it goes: a model calls through more frames than an error keeps. */
const wholeStack = (): string => {
  const kept = Error.stackTraceLimit
  const deep = { stack: "" }
  Error.stackTraceLimit = 200
  Error.captureStackTrace(deep)
  Error.stackTraceLimit = kept
  return deep.stack
}

/** Arguments that no tensor comes of. Thrown while a graph is traced; says the op, its inputs and the user's line. */
export class ShapeError extends Error {
  readonly _tag = "ShapeError"
  readonly op: string
  readonly inputs: ReadonlyArray<TensorType>

  constructor(op: string, inputs: ReadonlyArray<TensorType>, problem: string) {
    super(`${op}(${inputs.map(showType).join(", ")}): ${problem}`)
    this.name = "ShapeError"
    this.op = op
    this.inputs = inputs
    this.message += ` (at ${userLine()})`
  }
}

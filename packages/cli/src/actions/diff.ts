import { Backend, Differential, draw, loadModel, loadTokenizer, textProgram, trainableWeights } from "@foretoken/core"
import type { ModelConfig } from "@foretoken/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { BackendChoice } from "../backend.ts"
import { backendLayer } from "../backend.ts"
import { InputError, UsageError } from "../failure.ts"
import { backendNames, deviceNames } from "../flags.ts"
import { makeProgress } from "../Progress.ts"
import { table } from "../table.ts"

interface Input {
  readonly model: string
  readonly backends: string
  readonly text: string | undefined
  readonly tokens: number
  readonly gradient: boolean
  readonly tolerance: number
  readonly all: boolean
}

interface Output {
  readonly backends: readonly [string, string]
  readonly program: "score" | "gradient"
  readonly tokens: number
  readonly tolerance: number
  readonly first: { readonly index: number; readonly backend: string } | null
  readonly ops: ReadonlyArray<Differential.OpDifference>
  /** How many primitives are shown. */
  readonly shown: number
}

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const choices = yield* choicesOf(input.backends)
    const { config, weights } = yield* loadModel(input.model)
    const ids = yield* idsOf(input, config)
    const trainable = yield* Effect.fromResult(trainableWeights(config, []))
    const { graph, inputs } = textProgram(config, weights, ids, input.gradient ? trainable : "none")
    const services = yield* Effect.forEach(choices, (choice) =>
      Effect.map(Layer.build(backendLayer(choice)), (context) => Context.get(context, Backend))
    )
    const [first, second] = services
    const progress = yield* makeProgress({ title: "comparing", unit: "primitives", total: graph.nodes.length })
    const ops = yield* Differential.differences(graph, inputs, [first, second], input.tolerance, progress.update)
    const departed = Differential.firstDeparture(ops)
    return {
      backends: [first.name, second.name],
      program: input.gradient ? "gradient" : "score",
      tokens: ids.length,
      tolerance: input.tolerance,
      first:
        departed === undefined ? null : { index: departed.index, backend: [first.name, second.name][departed.backend] },
      ops,
      shown: input.all ? ops.length : Math.min(12, ops.length)
    } satisfies Output
  })

/** `onnx:cpu,tfjs`: two backends, each with a device or the usual one. */
const choicesOf = (text: string): Effect.Effect<ReadonlyArray<BackendChoice>, UsageError> =>
  Effect.gen(function* () {
    const parts = text.split(",")
    const wrong = (what: string) =>
      new UsageError({ message: `--backends is ${JSON.stringify(text)}; ${what} was expected, such as onnx,tfjs:wasm` })
    if (parts.length !== 2) return yield* wrong("two backends with a comma between them")
    return yield* Effect.forEach(parts, (part) => {
      const [name, device] = part.split(":")
      const backend = backendNames.find((known) => known === name)
      const on = deviceNames.find((known) => known === device)
      if (backend === undefined) return wrong(`one of ${backendNames.join(", ")} and not ${JSON.stringify(name)}`)
      if (device !== undefined && on === undefined)
        return wrong(`one of ${deviceNames.join(", ")} and not ${JSON.stringify(device)}`)
      return Effect.succeed({ backend, device: on })
    })
  })

const idsOf = Effect.fnUntraced(function* ({ model, text, tokens }: Input, { vocabSize, maxPositions }: ModelConfig) {
  const most = Math.min(tokens, maxPositions)
  if (text === undefined) {
    return Int32Array.from(draw.uniforms(0, ["diff"], most), (x) => Math.floor(x * vocabSize))
  }
  const tokenizer = yield* loadTokenizer(model)
  const encoded = yield* Effect.try({
    try: () => tokenizer.encode(text),
    catch: (cause) => new InputError({ message: `--text: ${cause instanceof Error ? cause.message : String(cause)}` })
  })
  const ids = Int32Array.from([...tokenizer.prefix, ...encoded]).slice(0, most)
  if (ids.length >= 2) return ids
  return yield* new InputError({ message: `--text has ${ids.length} tokens; at least 2 were expected` })
})

export const complaint = ({ first, ops }: Output): string | undefined =>
  first === null ? undefined : `${first.backend} departs first at primitive ${first.index}, ${ops[first.index].op}`

export const show = ({ backends, program, tokens, tolerance, first, ops, shown }: Output): string => {
  const [a, b] = backends
  const ratioOf = ({ own }: Differential.OpDifference) => Math.max(own[0].ratio, own[1].ratio)
  const nearest = new Set(ops.toSorted((x, y) => ratioOf(y) - ratioOf(x)).slice(0, shown))
  const rows = ops
    .filter((op) => nearest.has(op) || op.index === first?.index)
    .map(({ index, op, type, at, largest, own, inherited }) => [
      `${index}${index === first?.index ? " *" : ""}`,
      op,
      type,
      ...own.flatMap(({ error, ratio }) => [brief(error), brief(ratio)]),
      brief(inherited),
      brief(largest),
      at
    ])
  const headings = ["", "op", "type", `${a} error`, "of allowed", `${b} error`, "of allowed", "apart", "largest", "at"]
  const about = `${program} of ${tokens} tokens, ${ops.length} primitives; each rounded operation may be off by ${tolerance}`
  const verdict =
    first === null
      ? "no primitive is out of tolerance"
      : `* the first that is out of tolerance: ${ops[first.index].op}, on ${first.backend}`
  const note =
    "error: of the primitive alone, against float64 on the same inputs; of allowed: above 1 it is more than rounding explains;\n" +
    "apart: between the two whole runs, with all that was inherited"
  return [about, "", table(headings, rows), "", note, "", verdict].join("\n")
}

const brief = (x: number): string => (x === 0 ? "0" : x.toPrecision(2))

import type { Buffer, CompileOptions, Graph, Program, Value } from "@foretoken/core"
import { CompileError, ExecutionError, HostTensor } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Tensor as OrtTensor } from "onnxruntime-node"
import { fetchProblem } from "./fetchProblem.ts"
import { HostBuffer, keep } from "./HostBuffer.ts"
import { lowerGraph, storageProblem } from "./lower/lowerGraph.ts"
import { dataOf, toOrt } from "./ortTensor.ts"
import type { Runtime } from "./Runtime.ts"
import { reasonOf } from "./Runtime.ts"
import type { SessionSettings } from "./Session.ts"
import { openSession } from "./Session.ts"

/** Lowers the graph and opens a session for it, released with the scope. */
export const compileProgram = Effect.fnUntraced(function* (
  runtime: Runtime,
  settings: Omit<SessionSettings, "memory">,
  graph: Graph,
  { name, fetch, memory = "released" }: CompileOptions
): Effect.fn.Return<Program, CompileError, Scope.Scope> {
  const backend = `onnx:${settings.device}`
  const problem = fetchProblem(graph, fetch) ?? storageProblem(graph, settings.device)
  if (problem !== undefined) return yield* new CompileError({ backend, reason: `${name}: ${problem}` })

  const lowered = lowerGraph(graph, settings.device)
  const fetched = [...lowered.outputs.values()]
  // A model without outputs is no model: then everything that is asked for is empty.
  const session =
    fetched.length === 0 ? "not needed" : yield* openSession(runtime, { ...settings, memory }, name, lowered.model)
  const failed = (reason: string) => new ExecutionError({ backend, program: name, reason })

  const run = Effect.fnUntraced(function* (
    inputs: ReadonlyArray<Value>
  ): Effect.fn.Return<ReadonlyArray<Value>, ExecutionError, Scope.Scope> {
    const results = yield* Effect.tryPromise({
      try: async (): Promise<Results> => {
        const values = inputs.map((value, i) => inHostMemory(value, `input ${i}`))
        const feeds = Object.fromEntries([...lowered.inputs].map(([i, key]) => [key, toOrt(runtime, values[i])]))
        return session === "not needed" ? {} : session.run(feeds, fetched)
      },
      catch: (error) => failed(reasonOf(error))
    })
    const outputs: Array<Value> = []
    for (const [i, { type }] of graph.outputs.entries()) {
      const key = lowered.outputs.get(i)
      const value = HostTensor.make(type.dtype, type.shape, key === undefined ? [] : dataOf(results[key]))
      const into = fetch[i]
      if (into === "host") outputs.push(value)
      else if (into === "resident") outputs.push(yield* keep(value))
      else outputs.push(yield* donated(inputs[into.donate], value, () => failed(`input ${into.donate} is no buffer`)))
    }
    return outputs
  })
  return { run }
})

type Results = Readonly<Record<string, OrtTensor>>

/** Throws for a buffer that is not there any more, or not ours. */
export const inHostMemory = (value: Value, what: string): HostTensor => {
  if (!("_tag" in value)) return value
  if (!(value instanceof HostBuffer)) throw new TypeError(`${what} is a buffer of another backend`)
  if (value.value === "freed") throw new TypeError(`${what} is a buffer whose scope has closed`)
  return value.value
}

/**
 * Makes an output the contents of the buffer that was given for it. Writing into the buffer's memory would not save the
 * copy: onnxruntime-node returns copies of preallocated outputs too.
 */
const donated = (
  donor: Value,
  value: HostTensor,
  failed: () => ExecutionError
): Effect.Effect<Buffer, ExecutionError> => {
  if (!(donor instanceof HostBuffer) || donor.value === "freed") return Effect.fail(failed())
  donor.replace(value)
  return Effect.succeed(donor)
}

import type { Backend, CompileOptions, Graph, HostTensor, TensorType, Value } from "@foretoken/core"
import { BackendError, CompileError, copyInto, ExecutionError, routinesAsPrograms, showType } from "@foretoken/core"
import * as tf from "@tensorflow/tfjs-core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Device } from "./Device.ts"
import { using } from "./Device.ts"
import type { Lowered } from "./Lowered.ts"
import { openProgram } from "./native/openProgram.ts"
import { alias, fromHost, tfType, toHost } from "./tensors.ts"
import { TfjsBuffer } from "./TfjsBuffer.ts"
import { lowerGraph } from "./wasm/Plan.ts"

type Service = (typeof Backend)["Service"]

/** The Backend service on a loaded device. */
export const make = (device: Device, thread: Service["thread"]): Effect.Effect<Service, never, Scope.Scope> => {
  const { name } = device

  const attempt = <A>(f: () => A): Effect.Effect<A, BackendError> =>
    Effect.try({
      try: () => using(device, f),
      catch: (error) => new BackendError({ backend: name, reason: reasonOf(error) })
    })

  const graphs: Omit<Service, "apply" | "thread"> = {
    name,

    compile: (graph, options) =>
      Effect.acquireRelease(
        Effect.try({
          try: () => {
            checkFetch(graph, options)
            return using(device, () => (device.kind === "wasm" ? lowerGraph(graph) : openProgram(graph)))
          },
          catch: (error) => new CompileError({ backend: name, reason: `${options.name}: ${reasonOf(error)}` })
        }),
        (lowered) => Effect.sync(lowered.dispose)
      ).pipe(
        Effect.map((lowered) => ({
          run: (inputs) =>
            Effect.acquireRelease(
              Effect.try({
                try: () => using(device, () => run(lowered, graph, options, name, inputs)),
                catch: (error) => new ExecutionError({ backend: name, program: options.name, reason: reasonOf(error) })
              }),
              (outputs) =>
                Effect.sync(() => {
                  options.fetch.forEach((fetch, i) => fetch === "resident" && (outputs[i] as TfjsBuffer).dispose()) // `run` made it
                })
            )
        }))
      ),

    upload: (value) =>
      Effect.acquireRelease(
        attempt(() => new TfjsBuffer(name, { dtype: value.dtype, shape: value.shape }, uploaded(value))),
        (buffer) => Effect.sync(() => buffer.dispose())
      ),

    write: (buffer, value) =>
      attempt(() => {
        const own = TfjsBuffer.of(name, buffer)
        checkType("the buffer", own.type, value)
        own.replace(uploaded(value))
      }),

    read: (buffer, into) => attempt(() => copyInto(toHost(TfjsBuffer.of(name, buffer).tensor, buffer.type), into))
  }

  return Effect.map(routinesAsPrograms(graphs), (apply) => ({ ...graphs, apply, thread }))
}

const run = (
  lowered: Lowered,
  graph: Graph,
  { fetch }: CompileOptions,
  device: string,
  inputs: ReadonlyArray<Value>
): ReadonlyArray<Value> => {
  if (inputs.length !== graph.inputs.length) {
    throw new Error(`wants ${graph.inputs.length} inputs, got ${inputs.length}`)
  }
  const given = inputs.map((value, i) => {
    const input = "_tag" in value ? TfjsBuffer.of(device, value) : value
    checkType(`input ${i}`, graph.inputs[i].type, input instanceof TfjsBuffer ? input.type : input)
    return input
  })
  const donated = (input: number): TfjsBuffer => {
    const buffer = given[input]
    if (!(buffer instanceof TfjsBuffer)) throw new Error(`input ${input} is donated and must be a buffer`)
    return buffer
  }
  fetch.forEach((each) => typeof each === "object" && donated(each.donate))
  const tensors = tf.tidy(() => [
    ...lowered.run(given.map((value) => (value instanceof TfjsBuffer ? value.tensor : fromHost(value))))
  ])
  try {
    return tensors.map((tensor, i): Value => {
      const each = fetch[i]
      const { type } = graph.outputs[i]
      if (each === "resident") return new TfjsBuffer(device, type, tensor)
      if (each === "host") {
        const value = toHost(tensor, type)
        tensor.dispose()
        return value
      }
      const buffer = donated(each.donate)
      buffer.replace(tensor)
      return buffer
    })
  } catch (error) {
    tf.dispose(tensors)
    throw error
  }
}

/** A tensor that is read as a copy: tfjs-node hands out the very array it was given until an operation has used it. */
const uploaded = (value: HostTensor): tf.Tensor => tf.tidy(() => alias(fromHost(value)))

const checkFetch = (graph: Graph, { fetch }: CompileOptions): void => {
  for (const { dtype } of graph.inputs) tfType(dtype)
  if (fetch.length !== graph.outputs.length) {
    throw new Error(`${graph.outputs.length} outputs want as many fetches, got ${fetch.length}`)
  }
  const donations = fetch.map((each) => (typeof each === "object" ? each.donate : -1))
  donations.forEach((input, i) => {
    if (input === -1) return
    if (graph.inputs[input] === undefined)
      throw new Error(`output ${i} is donated to input ${input}, which is not there`)
    if (donations.indexOf(input) < i) throw new Error(`input ${input} is donated twice`)
    checkType(`input ${input}, donated to output ${i},`, graph.outputs[i].type, graph.inputs[input].type)
  })
}

const checkType = (what: string, wanted: TensorType, given: TensorType): void => {
  if (showType(wanted) !== showType(given))
    throw new Error(`${what} is ${showType(given)}, must be ${showType(wanted)}`)
}

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

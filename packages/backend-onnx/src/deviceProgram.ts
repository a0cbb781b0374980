import type { CompileOptions, Graph, Program, Value } from "@foretoken/core"
import { CompileError, ExecutionError, HostTensor } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { Tensor as OrtTensor } from "onnxruntime-node"
import type { Contents } from "./DeviceBuffer.ts"
import { contentsOf, DeviceBuffer, keepOnDevice } from "./DeviceBuffer.ts"
import { openDeviceSession } from "./DeviceSession.ts"
import { fetchProblem } from "./fetchProblem.ts"
import { lowerGraph, storageProblem } from "./lower/lowerGraph.ts"
import { dataOf, toOrt } from "./ortTensor.ts"
import type { Runtime } from "./Runtime.ts"
import { reasonOf } from "./Runtime.ts"
import type { SessionSettings } from "./Session.ts"
import { transfers } from "./transfers.ts"

/**
 * A program whose resident and donated outputs stay in the device's memory. A donated output becomes the contents of the
 * buffer that was given for it; the old tensor is freed.
 */
export const compileOnDevice = Effect.fnUntraced(function* (
  runtime: Runtime,
  settings: SessionSettings,
  graph: Graph,
  { name, fetch }: CompileOptions
): Effect.fn.Return<Program, CompileError, Scope.Scope> {
  const backend = `onnx:${settings.device}`
  const problem = fetchProblem(graph, fetch) ?? storageProblem(graph, settings.device)
  if (problem !== undefined) return yield* new CompileError({ backend, reason: `${name}: ${problem}` })

  const lowered = lowerGraph(graph, settings.device)
  const fetched = [...lowered.outputs.values()]
  const staying = [...lowered.outputs].flatMap(([i, key]) => (fetch[i] === "host" ? [] : [key]))
  // A model without outputs is no model: then everything that is asked for is empty.
  const session =
    fetched.length === 0 ? "not needed" : yield* openDeviceSession(runtime, settings, name, lowered.model, staying)

  const compute = async (inputs: ReadonlyArray<Value>): Promise<Results> => {
    const given = inputs.map((value, i) => ("_tag" in value ? contentsOf(value, `input ${i}`) : toOrt(runtime, value)))
    const donors = fetch.flatMap((into) => (typeof into === "object" ? [into.donate] : []))
    const stranger = donors.find((donor) => !("_tag" in inputs[donor]))
    if (stranger !== undefined) throw new TypeError(`input ${stranger} is no buffer`)
    const feeds = [...lowered.inputs].map(([i, key]) => [key, tensorOf(given[i])] as const)
    return session === "not needed" ? {} : session.run(Object.fromEntries(feeds), fetched)
  }

  /** What became of output `i` on the device. */
  const left = (results: Results, i: number): Contents => {
    const key = lowered.outputs.get(i)
    return key === undefined || session === "not needed" ? "empty" : session.hold(results[key])
  }

  const run = Effect.fnUntraced(
    function* (inputs: ReadonlyArray<Value>): Effect.fn.Return<ReadonlyArray<Value>, ExecutionError, Scope.Scope> {
      const results = yield* Effect.tryPromise({
        try: () => compute(inputs),
        catch: (error) => new ExecutionError({ backend, program: name, reason: reasonOf(error) })
      })
      const outputs: Array<Value> = []
      for (const [i, { type }] of graph.outputs.entries()) {
        const into = fetch[i]
        if (into === "host") {
          const key = lowered.outputs.get(i)
          outputs.push(HostTensor.make(type.dtype, type.shape, key === undefined ? [] : dataOf(results[key])))
        } else if (into === "resident") outputs.push(yield* keepOnDevice(type, left(results, i)))
        else outputs.push(exchanged(inputs[into.donate], left(results, i)))
      }
      yield* Metric.update(transfers.toDevice, bytesOnHost([...lowered.inputs.keys()].map((i) => inputs[i])))
      yield* Metric.update(transfers.toHost, bytesOnHost(outputs))
      return outputs
    },
    // Between the run and its buffers, nobody else would free what it has left on the device.
    Effect.uninterruptible
  )
  return { run }
})

type Results = Readonly<Record<string, OrtTensor>>

const tensorOf = (given: OrtTensor | Contents): OrtTensor => {
  if (given === "empty") throw new TypeError("an empty tensor is no input of a model")
  return "tensor" in given ? given.tensor : given
}

const exchanged = (donor: Value, contents: Contents): Value => {
  if (donor instanceof DeviceBuffer) donor.replace(contents)
  return donor
}

const bytesOnHost = (values: ReadonlyArray<Value>): number =>
  values.reduce((sum, value) => sum + ("data" in value ? value.data.byteLength : 0), 0)

import type { Fetch, HostTensor, Value } from "@foretoken/core"
import { Backend, Graph, Tensor, type TensorType } from "@foretoken/core"
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { TfjsDevice } from "../src/index.ts"
import { Tfjs } from "../src/index.ts"

const probes = await Effect.runPromise(Tfjs.probe())

/** Runs a group of tests on WebAssembly and, where libtensorflow is at hand, natively; says so where it is not. */
export const onEveryDevice = (tests: (device: TfjsDevice, name: string) => void): void => {
  for (const device of ["tensorflow", "wasm"] as const) {
    const probe = probes.find((each) => each.device.startsWith(`tfjs:${device}`))
    if (probe?.status === "works") describe(probe.device, () => tests(device, probe.device))
    else console.warn(`not tested on ${device}: ${probe?.detail}`) // oxlint-disable-line no-console -- no skip without a reason
  }
}

/** Traces, compiles and runs `f` once. */
export const evaluate = (
  f: (...inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>,
  inputs: ReadonlyArray<Value>,
  fetch?: ReadonlyArray<Fetch>
) =>
  Effect.gen(function* () {
    const backend = yield* Backend
    const types = inputs.map((value): TensorType => ("_tag" in value ? value.type : value))
    const { graph } = Graph.trace((tensors: ReadonlyArray<Tensor>) => f(...tensors), types)
    const program = yield* backend.compile(graph, { name: "test", fetch: fetch ?? graph.outputs.map(() => "host") })
    return yield* program.run(inputs)
  })

/** The values of a host tensor, as plain numbers. */
export const numbers = (value: Value): ReadonlyArray<number> => Array.from((value as HostTensor).data) // fetched to the host

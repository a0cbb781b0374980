import { Effect, Exit, Option, Scope } from "effect"
import type { Fetch, Value } from "../../tensor/Backend.ts"
import { Backend } from "../../tensor/Backend.ts"
import type { Buffer } from "../../tensor/Backend.ts"
import type { HostTensor as Host } from "../../tensor/HostTensor.ts"
import { HostTensor } from "../../tensor/HostTensor.ts"
import { showType } from "../../tensor/Shape.ts"
import type { Tensor } from "../../tensor/Tensor.ts"
import type { BackendLaw, Finding } from "./BackendLaw.ts"
import { writtenLaw } from "./BackendLaw.ts"
import { graphOf } from "./Case.ts"

/** What a backend does with values that stay: every one of these cost somebody a wrong gradient once. */
export const bufferLaws: ReadonlyArray<BackendLaw> = [
  writtenLaw(
    "an uploaded value reads back bit by bit",
    eachOf([f32(0.1, -0, 3e38, 1e-30), i32(-1, 2 ** 31 - 1, -(2 ** 31)), bool(1, 0, 1), scalar(2.5)], (value) =>
      Effect.gen(function* () {
        const { upload, read } = yield* Backend
        return differs("read", yield* read(yield* upload(value)), value)
      })
    )
  ),
  writtenLaw(
    "a buffer is a copy of what was uploaded, and what is read a copy of the buffer",
    Effect.gen(function* () {
      const { upload, read } = yield* Backend
      const host = f32(1, 2)
      const buffer = yield* upload(host)
      host.data[0] = 100
      const first = yield* read(buffer)
      const kept = differs("after the host's array changed", first, f32(1, 2))
      first.data[0] = 100
      return kept ?? differs("after what was read changed", yield* read(buffer), f32(1, 2))
    })
  ),
  writtenLaw(
    "what is read lies in the memory that is given, shared with other threads or not, if it is of the buffer's type",
    Effect.gen(function* () {
      const { upload, read } = yield* Backend
      const buffer = yield* upload(f32(1, 2))
      const shared = HostTensor.f32([2], new Float32Array(new SharedArrayBuffer(8)))
      for (const into of [f32(7, 8), shared]) {
        if ((yield* read(buffer, into)) !== into) return "what is read is another value than the one given"
        const wrong = differs("read", into, f32(1, 2))
        if (wrong !== undefined) return wrong
      }
      const refused = yield* Effect.exit(read(buffer, f32(1, 2, 3)))
      return fails("reading f32[2] into f32[3]", refused, "BackendError")
    })
  ),
  writtenLaw(
    "values in memory that threads share are taken like any others",
    Effect.gen(function* () {
      const { upload, write } = yield* Backend
      const shared = (value: Host): Host => {
        const { data } = value
        const memory = new SharedArrayBuffer(data.byteLength)
        new Uint8Array(memory).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
        const Elements = data.constructor as new (memory: SharedArrayBuffer) => typeof data // a typed array's own
        return HostTensor.make(value.dtype, value.shape, new Elements(memory))
      }
      const [x, n, flag] = [shared(f32(1, 2)), shared(i32(3, 4)), shared(bool(1, 0))]
      const buffer = yield* upload(shared(f32(7, 8)))
      yield* write(buffer, x)
      const inputs = [buffer, x, n, flag]
      const outputs = yield* runOnce(([b, x, n, flag]) => [b.add(x), n.add(1), flag.not()], inputs, [
        "host",
        "host",
        "host"
      ])
      const wanted = [f32(2, 4), i32(4, 5), bool(0, 1)]
      return yield* firstOf(outputs.map((output, i) => holds(`output ${i}`, output, wanted[i])))
    })
  ),
  writtenLaw(
    "write replaces a buffer's values, and refuses those of another type",
    Effect.gen(function* () {
      const { upload, read, write } = yield* Backend
      const buffer = yield* upload(f32(1, 2))
      const value = f32(3, 4)
      yield* write(buffer, value)
      value.data[0] = 100
      const refused = yield* Effect.exit(write(buffer, f32(1, 2, 3)))
      return (
        differs("read", yield* read(buffer), f32(3, 4)) ?? fails("writing f32[3] into f32[2]", refused, "BackendError")
      )
    })
  ),
  writtenLaw(
    "a resident output feeds another program",
    Effect.gen(function* () {
      const [kept] = yield* runOnce(([x]) => [x.mul(2)], [f32(1, 2)], ["resident"])
      if (!("_tag" in kept)) return "a resident output is a buffer"
      const [sum] = yield* runOnce(([x, y]) => [x.add(y)], [kept, kept], ["host"])
      return (yield* holds("the next program", sum, f32(4, 8))) ?? (yield* holds("the buffer", kept, f32(2, 4)))
    })
  ),
  writtenLaw(
    "a donated input holds the output, is the output, and outlives the run's scope",
    Effect.gen(function* () {
      const { upload, compile } = yield* Backend
      const buffer = yield* upload(f32(1, 2))
      const graph = graphOf(([x, by]) => [x.add(by)], [f32(0, 0), scalar(0)])
      const program = yield* compile(graph, { name: "add", fetch: [{ donate: 0 }] })
      for (const by of [1, 10, 100]) {
        const [output] = yield* Effect.scoped(program.run([buffer, scalar(by)]))
        if (output !== buffer) return "the output is another buffer than the one donated"
      }
      return yield* holds("after three runs", buffer, f32(112, 113))
    })
  ),
  writtenLaw(
    "donated inputs are read before any of them is replaced",
    Effect.gen(function* () {
      const { upload } = yield* Backend
      const [a, b] = [yield* upload(f32(1, 2)), yield* upload(f32(30, 40))]
      const fetch: ReadonlyArray<Fetch> = [{ donate: 0 }, { donate: 1 }, "host"]
      const outputs = yield* runOnce(([x, y]) => [y, x, x.add(y)], [a, b], fetch)
      return (
        (yield* holds("a", a, f32(30, 40))) ??
        (yield* holds("b", b, f32(1, 2))) ??
        (yield* holds("their sum", outputs[2], f32(31, 42)))
      )
    })
  ),
  writtenLaw(
    "one buffer may be two inputs, one of them donated",
    Effect.gen(function* () {
      const { upload } = yield* Backend
      const buffer = yield* upload(f32(1, 2))
      yield* runOnce(([x, y]) => [x.mul(10).add(y.sum())], [buffer, buffer], [{ donate: 0 }])
      return yield* holds("the buffer", buffer, f32(13, 23))
    })
  ),
  writtenLaw(
    "a run leaves the host's inputs and undonated buffers as they were",
    Effect.gen(function* () {
      const { upload } = yield* Backend
      const [host, buffer] = [f32(1, 2), yield* upload(f32(3, 4))]
      yield* runOnce(([x, y]) => [x.add(y), x, y, x.mul(y)], [host, buffer], ["host", "host", "resident", "resident"])
      return differs("the host's input", host, f32(1, 2)) ?? (yield* holds("the buffer", buffer, f32(3, 4)))
    })
  ),
  writtenLaw(
    "an input that passes through comes out with a life of its own",
    Effect.gen(function* () {
      const { upload, write } = yield* Backend
      const [host, buffer] = [f32(1, 2), yield* upload(f32(3, 4))]
      const fetch: ReadonlyArray<Fetch> = ["host", "resident", "host", "resident"]
      const outputs = yield* runOnce(([x, y]) => [x, x, y, y], [host, buffer], fetch)
      host.data[0] = 100
      yield* write(buffer, f32(100, 100))
      const wanted = [f32(1, 2), f32(1, 2), f32(3, 4), f32(3, 4)]
      return yield* firstOf(outputs.map((output, i) => holds(`output ${i}`, output, wanted[i])))
    })
  ),
  writtenLaw(
    "a buffer may be donated to what another one passes through",
    Effect.gen(function* () {
      const { upload, write } = yield* Backend
      const [a, b] = [yield* upload(f32(1, 2)), yield* upload(f32(3, 4))]
      yield* runOnce(([x]) => [x], [a, b], [{ donate: 1 }])
      yield* write(a, f32(100, 100))
      return yield* holds("the copy", b, f32(1, 2))
    })
  ),
  writtenLaw(
    "inputs that no output needs are taken, from the host or resident, and one value may be several outputs",
    Effect.gen(function* () {
      const { upload } = yield* Backend
      const inputs = [f32(9), f32(1, 2), yield* upload(i32(7)), bool(1)]
      const outputs = yield* runOnce(
        ([, x]) => {
          const y = x.add(1)
          return [y, y, y.reshape([2, 1]), x.mul(0).add(5)]
        },
        inputs,
        ["host", "resident", "host", "resident"]
      )
      const column = HostTensor.f32([2, 1], [2, 3])
      const wanted = [f32(2, 3), f32(2, 3), column, f32(5, 5)]
      return yield* firstOf(outputs.map((output, i) => holds(`output ${i}`, output, wanted[i])))
    })
  ),
  writtenLaw(
    "the same run twice gives the same bits, from the host's inputs or resident ones",
    Effect.gen(function* () {
      const { upload, compile } = yield* Backend
      const inputs = [noise([37, 48], 1), noise([29, 48], 2), noise([48], 3)]
      const graph = graphOf(([x, y, w]) => {
        const scores = x.rmsNorm(w, 1e-5).matmul(y, { transposeB: true })
        return [scores.softmax().matmul(y), scores.logSoftmax().sum(0)]
      }, inputs)
      const program = yield* compile(graph, { name: "twice", fetch: ["host", "host"] })
      const buffers = yield* Effect.forEach(inputs, upload)
      const runs = yield* Effect.forEach([inputs, inputs, buffers, buffers], program.run)
      const first = yield* Effect.forEach(runs[0], onHost)
      return yield* firstOf(
        runs.flatMap((outputs, run) => outputs.map((output, i) => holds(`run ${run} output ${i}`, output, first[i])))
      )
    })
  ),
  writtenLaw(
    "what a run gave stays when the program runs again, also side by side",
    Effect.gen(function* () {
      const { compile } = yield* Backend
      const graph = graphOf(([x]) => [x.mul(2), x.add(1)], [f32(0, 0)])
      const program = yield* compile(graph, { name: "again", fetch: ["host", "resident"] })
      const inputs = [f32(1, 2), f32(10, 20), f32(100, 200)]
      const inTurn = yield* Effect.forEach(inputs, (x) => program.run([x]))
      const together = yield* Effect.forEach(inputs, (x) => program.run([x]), { concurrency: "unbounded" })
      const wanted = (by: number) => [f32(2 * by, 4 * by), f32(by + 1, 2 * by + 1)]
      return yield* firstOf(
        [...inTurn, ...together].flatMap((outputs, run) =>
          outputs.map((output, i) => holds(`run ${run} output ${i}`, output, wanted([1, 10, 100][run % 3])[i]))
        )
      )
    })
  ),
  writtenLaw(
    "a buffer past its scope is an error, never garbage",
    Effect.gen(function* () {
      const { upload, read, write, compile } = yield* Backend
      const scope = yield* Scope.make()
      const uploaded = yield* upload(f32(1, 2)).pipe(Scope.provide(scope))
      const [kept] = yield* runOnce(([x]) => [x.mul(2)], [f32(1, 2)], ["resident"]).pipe(Scope.provide(scope))
      yield* Scope.close(scope, Exit.void)
      if (!("_tag" in kept)) return "a resident output is a buffer"
      const graph = graphOf(([x]) => [x.add(1)], [f32(0, 0)])
      const plain = yield* compile(graph, { name: "closed", fetch: ["host"] })
      const donating = yield* compile(graph, { name: "closed, donated", fetch: [{ donate: 0 }] })
      const ways: ReadonlyArray<Finding> = [uploaded, kept].flatMap((buffer, i) => {
        const what = i === 0 ? "an uploaded buffer" : "a resident output"
        return [
          Effect.map(Effect.exit(plain.run([buffer])), (exit) => fails(`running on ${what}`, exit, "ExecutionError")),
          Effect.map(Effect.exit(donating.run([buffer])), (exit) => fails(`donating ${what}`, exit, "ExecutionError")),
          Effect.map(Effect.exit(read(buffer)), (exit) => fails(`reading ${what}`, exit, "BackendError")),
          Effect.map(Effect.exit(write(buffer, f32(1, 2))), (exit) => fails(`writing ${what}`, exit, "BackendError"))
        ]
      })
      return yield* firstOf(ways)
    })
  ),
  writtenLaw(
    "a program after its scope is gone does not take its inputs' buffers along",
    Effect.gen(function* () {
      const { upload } = yield* Backend
      const buffer = yield* upload(f32(1, 2))
      yield* Effect.scoped(runOnce(([x]) => [x.add(1)], [buffer], [{ donate: 0 }]))
      yield* Effect.scoped(runOnce(([x]) => [x.mul(3)], [buffer], ["resident"]))
      return yield* holds("the buffer", buffer, f32(2, 3))
    })
  ),
  writtenLaw(
    "what cannot be fetched or donated is refused",
    Effect.gen(function* () {
      const { compile } = yield* Backend
      const graph = graphOf(([x, y]) => [x.add(1), y.sum()], [f32(0, 0), f32(0, 0, 0)])
      const refused = (what: string, fetch: ReadonlyArray<Fetch>): Finding =>
        Effect.map(Effect.exit(compile(graph, { name: what, fetch })), (exit) => fails(what, exit, "CompileError"))
      const program = yield* compile(graph, { name: "donating", fetch: [{ donate: 0 }, "host"] })
      const fromHost = yield* Effect.exit(program.run([f32(1, 2), f32(1, 2, 3)]))
      return yield* firstOf([
        refused("one way to fetch two outputs", ["host"]),
        refused("donating an input of another shape", [{ donate: 1 }, "host"]),
        refused("donating an input that is not there", [{ donate: 2 }, "host"]),
        refused("donating one input twice", [{ donate: 0 }, { donate: 0 }]),
        Effect.succeed(fails("donating a value of the host", fromHost, "ExecutionError"))
      ])
    })
  )
]

function f32(...data: ReadonlyArray<number>): Host {
  return HostTensor.f32([data.length], data)
}
function i32(...data: ReadonlyArray<number>): Host {
  return HostTensor.i32([data.length], data)
}
function bool(...data: ReadonlyArray<number>): Host {
  return HostTensor.bool([data.length], data)
}
function scalar(value: number): Host {
  return HostTensor.f32([], [value])
}

/** Floats that are not round, the same every time. */
function noise(shape: ReadonlyArray<number>, seed: number): Host {
  const size = shape.reduce((product, extent) => product * extent, 1)
  return HostTensor.f32(
    shape,
    Array.from({ length: size }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233) * 1.7)
  )
}

function eachOf<A>(values: ReadonlyArray<A>, examine: (value: A) => Finding): Finding {
  return firstOf(values.map(examine))
}

function firstOf(findings: ReadonlyArray<Finding>): Finding {
  return Effect.map(Effect.all(findings), (found) => found.find((problem) => problem !== undefined))
}

function runOnce(
  f: (inputs: ReadonlyArray<Tensor>) => ReadonlyArray<Tensor>,
  inputs: ReadonlyArray<Value>,
  fetch: ReadonlyArray<Fetch>
) {
  return Effect.gen(function* () {
    const { compile } = yield* Backend
    const types = inputs.map((value) =>
      "_tag" in value ? HostTensor.fill(value.type.dtype, value.type.shape, 0) : value
    )
    const program = yield* compile(graphOf(f, types), { name: "law", fetch })
    return yield* program.run(inputs)
  })
}

function onHost(value: Value) {
  return Effect.flatMap(Backend, ({ read }) => ("_tag" in value ? read(value) : Effect.succeed(value)))
}

function holds(what: string, value: Value | Buffer, wanted: Host): Finding {
  return Effect.map(onHost(value), (got) => differs(what, got, wanted))
}

function differs(what: string, got: Host, wanted: Host): string | undefined {
  const show = (value: Host) =>
    `${showType(value)} [${Array.from(value.data, (x) => (Object.is(x, -0) ? "-0" : x)).join(", ")}]`
  return show(got) === show(wanted) ? undefined : `${what}: ${show(got)}, should be ${show(wanted)}`
}

function fails(what: string, exit: Exit.Exit<unknown, { readonly _tag: string }>, tag: string): string | undefined {
  if (Exit.isSuccess(exit)) return `${what} succeeds, should be a ${tag}`
  const error = Exit.findErrorOption(exit)
  return Option.isSome(error) && error.value._tag === tag ? undefined : `${what} is ${exit.cause}, should be a ${tag}`
}

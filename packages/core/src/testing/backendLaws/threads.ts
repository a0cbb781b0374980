import { Effect, Exit, Scope } from "effect"
import { Backend } from "../../tensor/Backend.ts"
import { HostTensor } from "../../tensor/HostTensor.ts"
import type { BackendLaw } from "./BackendLaw.ts"
import { writtenLaw } from "./BackendLaw.ts"
import { graphOf } from "./Case.ts"

const noise = (size: number, seed: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(seed + 7.7 * i))

/** What holds of a backend on a thread of its own. One that has none gives itself, and keeps these without effort. */
export const threadLaws: ReadonlyArray<BackendLaw> = [
  writtenLaw(
    "a backend on a thread of its own has the same name and gives the same bits",
    Effect.gen(function* () {
      const here = yield* Backend
      const { backend: there, isAlive } = yield* here.thread({ name: "law" })
      if (!isAlive()) return "the thread is not alive"
      if (there.name !== here.name) return `its name is ${there.name}, not ${here.name}`
      const x = HostTensor.f32([24, 40], noise(960, 1))
      const w = HostTensor.f32([40], noise(40, 2))
      const graph = graphOf(([x, w]) => [x.rmsNorm(w, 1e-5).matmul(x, { transposeB: true }).softmax().log()], [x, w])
      const outputs = yield* Effect.forEach([here, there], ({ compile }) =>
        Effect.flatMap(compile(graph, { name: "law", fetch: ["host"] }), ({ run }) => run([x, w]))
      )
      const [[a], [b]] = outputs
      if (!("data" in a) || !("data" in b)) return "an output that was fetched to the host is a buffer"
      const at = a.data.findIndex((value, i) => !Object.is(value, b.data[i]))
      return at < 0 ? undefined : `element ${at} is ${b.data[at]} on the thread, and ${a.data[at]} here`
    })
  ),
  writtenLaw(
    "values of any size go to a thread and come back bit by bit, and the caller keeps its own",
    Effect.gen(function* () {
      const { backend } = yield* (yield* Backend).thread({ name: "law" })
      for (const size of [0, 1, 3 * 2 ** 20 + 1]) {
        const data = noise(size, 3)
        const value = HostTensor.f32([size], data.subarray())
        const buffer = yield* backend.upload(value)
        yield* backend.write(buffer, value)
        const back = yield* backend.read(buffer)
        if (data.length !== size) return `the caller's array of ${size} is gone`
        const at = back.data.findIndex((x, i) => x !== data[i])
        if (back.data.length !== size || at >= 0)
          return `of ${size} elements, number ${at} came back as ${back.data[at]}`
      }
    })
  ),
  writtenLaw(
    "two threads do not end each other",
    Effect.gen(function* () {
      const { thread } = yield* Backend
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(thread({ name: "first" }), scope)
      const second = yield* thread({ name: "second" })
      const buffer = yield* second.backend.upload(HostTensor.f32([1], [5]))
      yield* Scope.provide(first.backend.upload(HostTensor.f32([1], [6])), scope)
      yield* Scope.close(scope, Exit.void)
      const { data } = yield* second.backend.read(buffer)
      return data[0] === 5 && second.isAlive() ? undefined : `the second thread reads ${data[0]} for 5`
    })
  )
]

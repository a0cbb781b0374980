import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { Graph } from "../../src/tensor/Graph.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import type { Thread } from "../../src/tensor/Backend.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { startThread } from "../../src/thread/startThread.ts"
import { temporaryDirectory } from "../temporary.ts"

const directory = temporaryDirectory()
const module = new URL("./brokenBackend.ts", import.meta.url).href
const small = { maxOldGenerationSizeMb: 64 }
const start = (options: { readonly timeout?: number } = {}) =>
  startThread({ module, options: {}, resourceLimits: small, grace: 200 }, { name: "test", ...options })

const pair = { dtype: "f32", shape: [2] } as const
const { graph } = Graph.trace(({ x }: { x: Tensor }) => [x.mul(2)], { x: pair })
const x = HostTensor.f32([2], [1, 2])

/** A program on the thread, whose name says how it breaks. */
const running = ({ backend }: Thread, name: string) =>
  Effect.flatMap(backend.compile(graph, { name, fetch: ["host"] }), ({ run }) => run([x]))

describe("a thread with a backend", () => {
  it.live("computes", () =>
    Effect.gen(function* () {
      const [output] = yield* running(yield* start(), "double")
      expect(output).toEqual(HostTensor.f32([2], [2, 4]))
    }).pipe(Effect.scoped)
  )

  it.live("leaves the caller's thread free while it computes", () =>
    Effect.gen(function* () {
      const thread = yield* start()
      yield* running(thread, "double")
      let ticks = 0
      const clock = setInterval(() => ticks++, 10)
      yield* running(thread, "slow") // 400 ms
      clearInterval(clock)
      expect(ticks).toBeGreaterThan(10)
    }).pipe(Effect.scoped)
  )

  for (const [how, reason] of [
    ["exit", "exit code 3"],
    ["throw", "a kernel has thrown"],
    ["memory", "out of memory"]
  ] as const) {
    it.live(`fails what waits and what comes when it ends, and says why (${how})`, () =>
      Effect.gen(function* () {
        const thread = yield* start()
        const buffer = yield* thread.backend.upload(x)
        const waiting = [running(thread, how), running(thread, "double"), running(thread, "double")]
        const outcomes = yield* Effect.forEach(waiting, (run) => Effect.flip(run), { concurrency: "unbounded" })
        const why = `the thread test has ended: ${reason}`
        expect(outcomes[0]).toMatchObject({ _tag: "ExecutionError", program: how, reason: why })
        for (const outcome of outcomes) expect(outcome.reason).toBe(why)
        expect(thread.isAlive()).toBe(false)
        const { read, write, upload, apply, compile } = thread.backend
        const reasonOf = <A, E extends { readonly reason: string }, R>(call: Effect.Effect<A, E, R>) =>
          Effect.map(Effect.flip(call), (error) => error.reason)
        expect(yield* reasonOf(read(buffer))).toBe(why)
        expect(yield* reasonOf(write(buffer, x))).toBe(why)
        expect(yield* reasonOf(upload(x))).toBe(why)
        expect(yield* reasonOf(apply({ _tag: "norm", gradients: [buffer] }))).toBe(why)
        expect(yield* reasonOf(compile(graph, { name: "later", fetch: ["host"] }))).toBe(why)
      }).pipe(Effect.scoped)
    )
  }

  it.live("ends when a call takes longer than it may, and says so", () =>
    Effect.gen(function* () {
      const thread = yield* start({ timeout: 300 })
      yield* running(thread, "double")
      const error = yield* Effect.flip(running(thread, "forever"))
      expect(error).toMatchObject({ _tag: "ExecutionError", program: "forever" })
      expect(error.reason).toBe("the thread test has ended: a call took longer than 300ms")
      expect(thread.isAlive()).toBe(false)
    }).pipe(Effect.scoped)
  )

  for (const [what, elements] of [
    ["that goes with its call", 100],
    ["that goes ahead in pieces", 300_000]
  ] as const) {
    it.live(`ends when a value arrives otherwise than it was sent, one ${what}`, () =>
      Effect.gen(function* () {
        const file = join(directory, String(elements))
        writeFileSync(file, "1")
        const options = { flipsOnce: { bytes: 100, file } }
        const { backend, isAlive } = yield* startThread({ module, options, grace: 200 }, { name: "test" })
        const value = HostTensor.f32([elements], new Float32Array(elements).fill(1.5))
        if (elements <= 100) yield* backend.upload(value)
        const error = yield* Effect.flip(backend.upload(value))
        expect(error.reason).toMatch(/^the thread test has ended: a value of \d+ elements was changed on its way$/)
        expect(isAlive()).toBe(false)
      }).pipe(Effect.scoped)
    )
  }

  it.live("goes on after a caller who was interrupted, and keeps nothing for it", () =>
    Effect.gen(function* () {
      const thread = yield* start()
      yield* Effect.timeoutOption(running(thread, "slow"), 50)
      expect(yield* running(thread, "double")).toEqual([HostTensor.f32([2], [2, 4])])
    }).pipe(Effect.scoped)
  )

  it.live("ends with its scope, also in the middle of a call", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const thread = yield* Scope.provide(start(), scope)
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.scoped(running(thread, "forever"))))
      yield* Effect.sleep(100)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Fiber.join(fiber)
      expect(error.reason).toBe("the thread test has ended: its scope has closed")
    })
  )

  it.live("refuses buffers that are not its own", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* start(), yield* start()]
      const buffer = yield* one.backend.upload(x)
      const error = yield* Effect.flip(other.backend.read(buffer))
      expect(error.reason).toBe("this is a buffer of another backend (f32[2])")
    }).pipe(Effect.scoped)
  )

  it.live("that ends before it says anything is started once more, and then fails with the cause", () =>
    Effect.gen(function* () {
      const file = join(directory, "starts")
      const starting = startThread({ module, options: { endsAtFirst: file } }, { name: "test" })
      writeFileSync(file, "1")
      expect(yield* running(yield* starting, "double")).toEqual([HostTensor.f32([2], [2, 4])])
      expect(existsSync(file)).toBe(false)
      writeFileSync(file, "9")
      const error = yield* Effect.flip(starting)
      expect(error).toMatchObject({ _tag: "BackendError", reason: "its thread ended with exit code 3" })
      expect(readFileSync(file, "utf8")).toBe("7")
    }).pipe(Effect.scoped)
  )

  it.live("does not start where its backend does not, and says why", () =>
    Effect.gen(function* () {
      const refusing = yield* Effect.flip(startThread({ module, options: { refuses: true } }, { name: "test" }))
      expect(refusing).toMatchObject({ _tag: "BackendError", reason: "no such device" })
      const missing = yield* Effect.flip(startThread({ module: `${module}.none`, options: {} }, { name: "test" }))
      expect(missing.reason).toMatch(/Cannot find module/)
    }).pipe(Effect.scoped)
  )
})

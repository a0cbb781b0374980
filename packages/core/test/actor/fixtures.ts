import { Effect, Schema } from "effect"
import type { Fiber } from "effect"
import type { Scheduler, SchedulerDispatcher } from "effect/Scheduler"
import { Protocol, type Restart } from "@foretoken/core"

/** A counter that can be asked to misbehave in every way a handler can. */
export const Counter = Protocol.make(
  Protocol.message("Add", { payload: { n: Schema.Number }, success: Schema.Number }),
  Protocol.message("Refuse", { payload: { why: Schema.String }, error: Schema.String }),
  Protocol.message("Die", { payload: { why: Schema.String } }),
  Protocol.message("Throw"),
  Protocol.message("InterruptItself"),
  Protocol.message("Sleep", { payload: { ms: Schema.Number } }),
  Protocol.message("Forever"),
  Protocol.message("Echo", { payload: { array: Protocol.float32Array }, success: Protocol.float32Array })
)

/** What the incarnations of a counter leave behind for a test to look at. */
export interface Trace {
  readonly made: Array<number>
  readonly finalized: Array<number>
  readonly handled: Array<string>
}

export const trace = (): Trace => ({ made: [], finalized: [], handled: [] })

export const makeCounter = (trace: Trace) =>
  Effect.gen(function* () {
    const id = trace.made.length
    trace.made.push(id)
    yield* Effect.addFinalizer(() => Effect.sync(() => trace.finalized.push(id)))
    let total = 0
    const handlers: Protocol.Handlers<typeof Counter> = {
      Add: ({ n }) =>
        Effect.sync(() => {
          trace.handled.push(`Add ${n}`)
          return (total += n)
        }),
      Refuse: ({ why }) => Effect.fail(why),
      Die: ({ why }) => Effect.die(new Error(why)),
      Throw: () => {
        throw new Error("thrown outside of any effect")
      },
      InterruptItself: () => Effect.interrupt,
      Sleep: ({ ms }) =>
        Effect.andThen(
          Effect.sleep(ms),
          Effect.sync(() => void trace.handled.push(`Sleep ${ms}`))
        ),
      Forever: () => Effect.never,
      Echo: ({ array }) => Effect.succeed(array)
    }
    return handlers
  })

/** `budget` restarts a minute, after 1 s, 2 s, 4 s, ... */
export const restarts = (budget: number): Restart.Restart => ({
  budget,
  window: "1 minute",
  backoff: { first: "1 second", factor: 2, max: "10 seconds" }
})

/** `budget` restarts without back-off, for tests that run without a clock. */
export const atOnce = (budget: number): Restart.Restart => ({
  budget,
  window: "1 hour",
  backoff: { first: 0, factor: 1, max: 0 }
})

/** Lets a seed decide which runnable fiber goes next, and where one is made to yield: every seed is another schedule. */
export class SeededScheduler implements Scheduler, SchedulerDispatcher {
  readonly executionMode = "async"
  private readonly runnable: Array<() => void> = []
  private scheduled = false
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** mulberry32: uniform in [0, 1). */
  private random() {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>) {
    return fiber.currentOpCount >= 2048 || (fiber.currentOpCount > 2 && this.random() < 0.1)
  }

  makeDispatcher() {
    return this
  }

  scheduleTask(task: () => void) {
    this.runnable.push(task)
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      this.flush()
    })
  }

  flush() {
    for (let steps = 0; this.runnable.length > 0 && steps < 10_000; steps++) {
      const [task] = this.runnable.splice(Math.floor(this.random() * this.runnable.length), 1)
      task()
    }
    // What is still runnable (a schedule that never rests) goes on after other events had their turn.
    if (this.runnable.length > 0) this.scheduleTask(() => {})
  }
}

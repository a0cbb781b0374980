/**
 * One process, simulated: runs the fibers of an effect one task after the other, in an order that a seed decides, under a clock
 * that jumps to the next timer whenever nothing can run. Nothing in it waits for anything real, so a run of minutes takes as
 * long as its work, and the same seed gives the same run.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Scheduler, SchedulerDispatcher } from "effect/Scheduler"

/** How a process ended. */
export type Ending<A, E> =
  | { readonly _tag: "Exit"; readonly exit: Exit.Exit<A, E> }
  /** It was killed: what ran stopped where it was, and no finalizer ran. */
  | { readonly _tag: "Dead" }
  /** Nothing can run, no timer is set, and it has not ended: somebody waits for what never comes. */
  | { readonly _tag: "Stuck" }
  /** It has run longer than anything that ends. */
  | { readonly _tag: "Endless" }

interface Timer {
  readonly at: number
  readonly wake: () => void
}

/** Tasks after which a process is taken to be endless, unless told otherwise: some hundred times those of a usual run. */
const mostTasks = 500_000

/** Operations of a fiber between two places where it may be made to wait, on average. */
const stretch = 24

export class Conductor implements Scheduler, SchedulerDispatcher {
  readonly executionMode = "async"
  readonly clock: Clock.Clock
  /** Tasks that have run. */
  tasks = 0
  /** Milliseconds since the process began. */
  now = 0
  #ready: Array<() => void> = []
  readonly #timers: Array<Timer> = []
  #random: number
  readonly #inOrder: boolean
  #dead = false
  #root: Fiber.Fiber<unknown, unknown> | undefined

  /** Order 0: first come, first served. Any other decides by chance who goes next and where a fiber is made to wait. */
  constructor(order: number) {
    this.#random = order >>> 0
    this.#inOrder = order === 0
    const millis = () => this.now
    const nanos = () => BigInt(Math.round(this.now * 1e6))
    this.clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.#sleep(Duration.toMillis(duration))
    }
  }

  /** Runs an effect until it ends, or cannot. */
  run<A, E>(effect: Effect.Effect<A, E>): Ending<A, E> {
    const root = Effect.runFork(Effect.provideService(effect, Clock.Clock, this.clock), { scheduler: this })
    this.#root = root
    while (!this.#dead) {
      const exit = root.pollUnsafe()
      if (exit !== undefined) return { _tag: "Exit", exit }
      if (this.tasks > mostTasks) return { _tag: "Endless" }
      if (this.#ready.length > 0) {
        this.tasks++
        this.#next()()
      } else if (!this.#wakeNext()) return { _tag: "Stuck" }
    }
    return { _tag: "Dead" }
  }

  /** Ends the process. Whoever calls it from inside should do nothing afterwards. */
  kill(): void {
    this.#dead = true
  }

  /** What Ctrl-C does. */
  stop(): void {
    this.#root?.interruptUnsafe()
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (fiber.currentOpCount >= 2048) return true
    return !this.#inOrder && fiber.currentOpCount > 2 && this.#uniform() < 1 / stretch
  }

  makeDispatcher(): SchedulerDispatcher {
    return this
  }

  scheduleTask(task: () => void): void {
    this.#ready.push(task)
  }

  flush(): void {}

  #next(): () => void {
    if (this.#inOrder || this.#ready.length === 1) return this.#ready.shift()!
    return this.#ready.splice(Math.floor(this.#uniform() * this.#ready.length), 1)[0]
  }

  #sleep(millis: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const timer = { at: this.now + Math.max(0, millis), wake: () => resume(Effect.void) }
      // Of equal times, the one that was set first goes first.
      let place = this.#timers.length
      while (place > 0 && this.#timers[place - 1].at > timer.at) place--
      this.#timers.splice(place, 0, timer)
      return Effect.sync(() => {
        const index = this.#timers.indexOf(timer)
        if (index >= 0) this.#timers.splice(index, 1)
      })
    })
  }

  #wakeNext(): boolean {
    const timer = this.#timers.shift()
    if (timer === undefined || timer.at === Infinity) return false
    this.now = Math.max(this.now, timer.at)
    this.tasks++
    timer.wake()
    return true
  }

  /** mulberry32: uniform in [0, 1). */
  #uniform(): number {
    this.#random = (this.#random + 0x6d2b79f5) >>> 0
    let t = this.#random
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

import { monitorEventLoopDelay } from "node:perf_hooks"
import { Context, Effect } from "effect"
import type { Scope } from "effect"

/** How late timers of this thread came: what signals, deadlines and whoever watches the run had to wait. */
export interface TimerLag {
  /** The longest since it was last asked for, in milliseconds. */
  readonly largest: Effect.Effect<number>
}

/** Milliseconds between two looks at the clock. */
const resolution = 5

const ofThisThread: Effect.Effect<TimerLag, never, Scope.Scope> = Effect.gen(function* () {
  const delays = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const histogram = monitorEventLoopDelay({ resolution })
      histogram.enable()
      return histogram
    }),
    (histogram) => Effect.sync(() => histogram.disable())
  )
  return {
    largest: Effect.sync(() => {
      // What is recorded is the time from one look to the next.
      const largest = Math.max(0, delays.max / 1e6 - resolution)
      delays.reset()
      return largest
    })
  }
})

/** Watches this thread, unless a simulation has time of its own. */
export const WatchTimerLag = Context.Reference<Effect.Effect<TimerLag, never, Scope.Scope>>(
  "@foretoken/core/WatchTimerLag",
  { defaultValue: () => ofThisThread }
)

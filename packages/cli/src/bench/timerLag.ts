import { monitorEventLoopDelay } from "node:perf_hooks"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** How late timers of this thread fire, in milliseconds. */
export interface TimerLag {
  readonly p99: number
  readonly max: number
}

const resolution = 1

/** Watches until the scope closes; gives what was seen since the last time that it was asked. */
export const watchTimerLag: Effect.Effect<() => TimerLag, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const delays = monitorEventLoopDelay({ resolution })
      delays.enable()
      return delays
    }),
    (delays) => Effect.sync(() => delays.disable())
  ),
  (delays) => () => {
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolution)
    const seen = delays.count === 0 ? { p99: 0, max: 0 } : { p99: late(delays.percentile(99)), max: late(delays.max) }
    delays.reset()
    return seen
  }
)

/**
 * How often something that crashes may come back: at most `budget` restarts within any `window`, each after a back-off.
 *
 * The n-th crash inside the window waits `min(max, first * factor^(n - 1))`. Crashes that have left the window count for
 * neither: an actor that ran well for long starts again with a full budget and the first delay.
 */
import * as Duration from "effect/Duration"

export interface Restart {
  /** Restarts allowed within `window`; 0 makes the first crash the last. */
  readonly budget: number
  readonly window: Duration.Input
  readonly backoff: { readonly first: Duration.Input; readonly factor: number; readonly max: Duration.Input }
}

/** 5 restarts a minute, after 100 ms, 200 ms, 400 ms, ... */
export const standard: Restart = {
  budget: 5,
  window: "1 minute",
  backoff: { first: "100 millis", factor: 2, max: "10 seconds" }
}

/** For what must not come back by itself. */
export const never: Restart = { ...standard, budget: 0 }

/** `crashes`: the times (ms) of the crashes inside the window, the latest last. */
export type Verdict =
  | { readonly _tag: "Again"; readonly crashes: ReadonlyArray<number>; readonly delay: Duration.Duration }
  | { readonly _tag: "Spent"; readonly crashes: ReadonlyArray<number> }

/** What follows from a crash at time `now` (ms) after the `earlier` ones. */
export const afterCrash = (restart: Restart, earlier: ReadonlyArray<number>, now: number): Verdict => {
  const window = Duration.toMillis(restart.window)
  const crashes = [...earlier.filter((time) => now - time < window), now]
  if (crashes.length > restart.budget) return { _tag: "Spent", crashes }
  const { first, factor, max } = restart.backoff
  const delay = Math.min(Duration.toMillis(max), Duration.toMillis(first) * factor ** (crashes.length - 1))
  return { _tag: "Again", crashes, delay: Duration.millis(delay) }
}

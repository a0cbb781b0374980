import { Backend, parameterCount } from "@foretoken/core"
import type { CompileError, ExecutionError, LoadedModel, BackendError } from "@foretoken/core"
import * as Effect from "effect/Effect"
import { matmulRates } from "./ceiling.ts"
import type { StepReport } from "./Report.ts"
import { watchTimerLag } from "./timerLag.ts"

/** Steps before the measured ones: the first compiles, the second finds memory and caches warm. */
export const warmup = 2

type Machine = Pick<StepReport, "backend" | "parameters" | "ceilingGflops" | "timerLagMs" | "rssBytes">

/** Repeats `once`, and the matrix product before and after: the fastest of these is the ceiling. */
export const measure = Effect.fnUntraced(function* <A, E, R>(
  { stored }: LoadedModel,
  once: Effect.Effect<A, E, R>,
  steps: number
): Effect.fn.Return<
  { readonly first: ReadonlyArray<A>; readonly readings: ReadonlyArray<A>; readonly machine: Machine },
  E | CompileError | ExecutionError | BackendError,
  R | Backend
> {
  const { name } = yield* Backend
  const product = name === "reference" ? matmulRates(64, 3) : matmulRates(1024, 10)
  const first = yield* Effect.replicateEffect(once, warmup)
  const before = yield* product
  const { readings, timerLagMs } = yield* Effect.scoped(
    Effect.gen(function* () {
      const lag = yield* watchTimerLag
      return { readings: yield* Effect.replicateEffect(once, steps), timerLagMs: lag() }
    })
  )
  const machine = {
    backend: name,
    parameters: parameterCount(stored.config),
    ceilingGflops: Math.max(...before, ...(yield* product)),
    timerLagMs,
    // Node gives kilobytes on every system.
    rssBytes: process.resourceUsage().maxRSS * 1024
  }
  return { first, readings, machine }
})

export const shareOf = (flops: number, seconds: number, ceilingGflops: number): number =>
  flops / seconds / (ceilingGflops * 1e9)

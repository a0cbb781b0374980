/**
 * How far long work has come: one line on stderr that is drawn over again, with rate and time left. On a terminal only;
 * in a pipe nothing is written.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Streams } from "./Streams.ts"

export interface Progress {
  /** So much is done by now. */
  readonly update: (done: number, note?: string) => Effect.Effect<void>
  /** A line that stays. */
  readonly print: (line: string) => Effect.Effect<void>
  /** The same, terminal or not. */
  readonly tell: (line: string) => Effect.Effect<void>
}

/** `total` is the amount of work where it is known. The line goes when the scope closes. */
export const makeProgress = (work: {
  readonly title: string
  readonly unit: string
  readonly total: number | "unknown"
}): Effect.Effect<Progress, never, Scope.Scope> =>
  Effect.gen(function* (): Effect.fn.Return<Progress, never, Scope.Scope> {
    const { columns, error: write } = yield* Streams
    const plainly = (line: string) => Effect.sync(() => write(`${line}\n`))
    if (columns === undefined) return { update: () => Effect.void, print: () => Effect.void, tell: plainly }
    const started = yield* Clock.currentTimeMillis
    const erase = "\r\u001b[K"
    yield* Effect.addFinalizer(() => Effect.sync(() => write(erase)))
    const print = (line: string) => Effect.sync(() => write(`${erase}${line}\n`))
    const show = (line: string) => Effect.sync(() => write(`${erase}${line.slice(0, columns - 1)}`))
    yield* show(`${work.title} …`)
    return {
      update: (done, note = "") =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          show(progressLine({ ...work, done, note, ms: now - started }))
        ),
      print,
      tell: print
    }
  })

/** "training 3/200 steps · 1.2 steps/s · 2 min 44 s left · reward 0.25" */
export const progressLine = (at: {
  readonly title: string
  readonly unit: string
  readonly total: number | "unknown"
  readonly done: number
  readonly ms: number
  readonly note: string
}): string => {
  const { title, unit, total, done, ms, note } = at
  const amount = total === "unknown" ? `${done} ${unit}` : `${done}/${total} ${unit}`
  const rate = done > 0 && ms > 0 ? [rateOf(done, ms, unit)] : []
  const left = total !== "unknown" && done > 0 && done < total ? [`${duration((ms / done) * (total - done))} left`] : []
  return [`${title} ${amount}`, ...rate, ...left, ...(note === "" ? [] : [note])].join(" · ")
}

const rateOf = (done: number, ms: number, unit: string): string => {
  const perSecond = (done / ms) * 1000
  const one = unit.replace(/s$/, "")
  return perSecond >= 1 ? `${perSecond.toPrecision(3)} ${unit}/s` : `${(1 / perSecond).toPrecision(3)} s/${one}`
}

/** "12 s", "2 min 5 s", "1 h 3 min" */
export const duration = (ms: number): string => {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
}

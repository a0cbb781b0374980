import { Worker } from "node:worker_threads"
import type { Transferable } from "node:worker_threads"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ThreadOptions } from "../tensor/Backend.ts"
import type { Answer, BackendSource, Call, Request } from "./messages.ts"

type Done = Extract<Answer, { readonly _tag: "done" }>

/** Calls to a thread. A thread that ends, for whatever reason, fails the calls that wait and those that come. */
export interface Connection {
  /** What the backend on the other side calls itself. */
  readonly name: string
  readonly isAlive: () => boolean
  /** A number that no call and no value sent ahead has had. */
  readonly nextId: () => number
  /** Fails with the reason, in a line. */
  readonly call: (id: number, call: Call, transfer?: ReadonlyArray<Transferable>) => Effect.Effect<Done, string>
  /** What wants no answer. */
  readonly send: (request: Request, transfer?: ReadonlyArray<Transferable>) => void
}

/** Starts a thread and waits until its backend is there; fails with what is wrong. The thread ends with the scope. */
export const connect = (
  source: BackendSource,
  { name: threadName, timeout }: ThreadOptions
): Effect.Effect<Connection, string, Scope.Scope> =>
  Effect.gen(function* () {
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(entry, { ...startedFromSource, ...limits(source), workerData: source })),
      (worker) => Effect.promise(() => worker.terminate())
    )
    const waiting = new Map<number, (outcome: Effect.Effect<Done, string>) => void>()
    let state: { readonly _tag: "alive" } | { readonly _tag: "ended"; readonly reason: string } = { _tag: "alive" }
    let ids = 0

    const end = (why: string): void => {
      if (state._tag === "ended") return
      const reason = `the thread ${threadName} has ended: ${why}`
      state = { _tag: "ended", reason }
      for (const settle of waiting.values()) settle(Effect.fail(reason))
      waiting.clear()
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => end("its scope has closed")))

    const name = yield* Effect.callback<string, string>((resume) => {
      worker.on("error", (cause) => {
        end(causeOf(cause))
        resume(Effect.fail(causeOf(cause)))
      })
      worker.on("messageerror", (cause) => end(`an answer of it cannot be read: ${causeOf(cause)}`))
      worker.on("exit", (code) => {
        end(`exit code ${code}`)
        resume(Effect.fail(`its thread ended with exit code ${code}`))
      })
      worker.on("message", (answer: Answer) => {
        switch (answer._tag) {
          case "ready":
            return resume(Effect.succeed(answer.name))
          case "unusable":
            return resume(Effect.fail(answer.reason))
          default:
            waiting.get(answer.id)?.(answer._tag === "done" ? Effect.succeed(answer) : Effect.fail(answer.reason))
            waiting.delete(answer.id)
        }
      })
    })

    const send: Connection["send"] = (request, transfer = []) => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      if (state._tag === "alive") worker.postMessage(request, transfer)
    }
    const answered: Connection["call"] = (id, call, transfer) =>
      Effect.callback((resume) => {
        if (state._tag === "ended") return resume(Effect.fail(state.reason))
        waiting.set(id, resume)
        send({ _tag: "call", id, call }, transfer)
        return Effect.sync(() => waiting.delete(id))
      })
    const inTime: Connection["call"] = (id, call, transfer) =>
      timeout === undefined
        ? answered(id, call, transfer)
        : Effect.timeoutOrElse(answered(id, call, transfer), {
            duration: timeout,
            orElse: () => {
              end(`a call took longer than ${Duration.format(Duration.fromInputUnsafe(timeout))}`)
              void worker.terminate()
              return answered(id, call)
            }
          })
    return { name, isAlive: () => state._tag === "alive", nextId: () => ids++, call: inTime, send }
  })

// Run from its sources, the project resolves its own packages to sources in the thread, too.
const fromSource = import.meta.url.endsWith(".ts")
const entry = new URL(fromSource ? "./worker.ts" : "./worker.js", import.meta.url)
const startedFromSource = fromSource ? { execArgv: ["-C", "@foretoken/source"] } : {}

const limits = ({ resourceLimits }: BackendSource) => (resourceLimits === undefined ? {} : { resourceLimits })

const causeOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return "code" in cause && cause.code === "ERR_WORKER_OUT_OF_MEMORY" ? "out of memory" : cause.message.split("\n")[0]
}

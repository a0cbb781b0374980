import { setTimeout as sleep } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ThreadOptions } from "../tensor/Backend.ts"
import { makeFerry } from "./messages.ts"
import type { Answer, BackendSource, Call, Ferry, Piece, Request, WorkerData } from "./messages.ts"

type Done = Extract<Answer, { readonly _tag: "done" }>

/** Calls to a thread. A thread that ends, for whatever reason, fails the calls that wait and those that come. */
export interface Connection {
  /** What the backend on the other side calls itself. */
  readonly name: string
  readonly isAlive: () => boolean
  /** A number that no call and no value sent ahead has had. */
  readonly nextId: () => number
  /** Fails with the reason, in a line. */
  readonly call: (id: number, call: Call) => Effect.Effect<Done, string>
  /** Sends a piece once a slot of the ferry is free for it; `load` writes it there. */
  readonly ship: (load: (ferry: Ferry, slot: number) => Piece) => Effect.Effect<void, string>
  /** Sends what wants no answer. */
  readonly send: (request: Request) => void
}

/**
 * Starts a thread and waits until its backend is there; fails with what is wrong. The thread ends with the scope. One that ends
 * before it says anything is started once more.
 */
export const connect = (
  source: BackendSource,
  options: ThreadOptions
): Effect.Effect<Connection, string, Scope.Scope> =>
  connectOnce(source, options).pipe(
    Effect.retry({ times: 1, while: ({ _tag }) => _tag === "ended" }),
    Effect.mapError(({ reason }) => reason)
  )

/** Why there is no connection: the thread has ended, or its backend cannot be had. */
interface Failed {
  readonly _tag: "ended" | "unusable"
  readonly reason: string
}

const connectOnce = (
  source: BackendSource,
  { name: threadName, timeout }: ThreadOptions
): Effect.Effect<Connection, Failed, Scope.Scope> =>
  Effect.gen(function* () {
    const ferry = makeFerry(slots)
    const workerData: WorkerData = { source, ferry }
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(entry, { ...startedFromSource, ...limits(source), workerData })),
      (worker) => Effect.promise(() => ended(worker, source.grace ?? 10_000))
    )
    const waiting = new Map<number, (outcome: Effect.Effect<Done, string>) => void>()
    let state: { readonly _tag: "alive" } | { readonly _tag: "ended"; readonly reason: string } = { _tag: "alive" }
    const free = Array.from({ length: slots }, (_, i) => i)
    const shipping: Array<{ readonly go: (slot: number) => void; readonly fail: (reason: string) => void }> = []
    let ids = 0

    const end = (why: string): void => {
      if (state._tag === "ended") return
      const reason = `the thread ${threadName} has ended: ${why}`
      state = { _tag: "ended", reason }
      for (const settle of waiting.values()) settle(Effect.fail(reason))
      waiting.clear()
      for (const { fail } of shipping.splice(0)) fail(reason)
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => end("its scope has closed")))

    const name = yield* Effect.callback<string, Failed>((resume) => {
      const fail = (_tag: Failed["_tag"], reason: string) => resume(Effect.fail({ _tag, reason }))
      worker.on("error", (cause) => {
        end(causeOf(cause))
        fail("ended", causeOf(cause))
      })
      worker.on("messageerror", (cause) => end(`an answer of it cannot be read: ${causeOf(cause)}`))
      worker.on("exit", (code) => {
        end(`exit code ${code}`)
        fail("ended", `its thread ended with exit code ${code}`)
      })
      worker.on("message", (answer: Answer) => {
        switch (answer._tag) {
          case "ready":
            return resume(Effect.succeed(answer.name))
          case "unusable":
            return fail("unusable", answer.reason)
          case "damaged":
            return end(answer.reason)
          case "emptied": {
            const next = shipping.shift()
            if (next === undefined) free.push(answer.slot)
            else next.go(answer.slot)
            return
          }
          default:
            waiting.get(answer.id)?.(answer._tag === "done" ? Effect.succeed(answer) : Effect.fail(answer.reason))
            waiting.delete(answer.id)
        }
      })
    })

    const send: Connection["send"] = (request) => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      if (state._tag === "alive") worker.postMessage(request)
    }
    const ship: Connection["ship"] = (load) =>
      Effect.callback((resume) => {
        const go = (slot: number) => {
          send(load(ferry, slot))
          resume(Effect.void)
        }
        const passage = { go, fail: (reason: string) => resume(Effect.fail(reason)) }
        if (state._tag === "ended") return passage.fail(state.reason)
        const slot = free.shift()
        if (slot !== undefined) return go(slot)
        shipping.push(passage)
        return Effect.sync(() => {
          const at = shipping.indexOf(passage)
          if (at >= 0) shipping.splice(at, 1)
        })
      })
    const answered: Connection["call"] = (id, call) =>
      Effect.callback((resume) => {
        if (state._tag === "ended") return resume(Effect.fail(state.reason))
        waiting.set(id, resume)
        send({ _tag: "call", id, call })
        return Effect.sync(() => waiting.delete(id))
      })
    const inTime: Connection["call"] = (id, call) =>
      timeout === undefined
        ? answered(id, call)
        : Effect.timeoutOrElse(answered(id, call), {
            duration: timeout,
            orElse: () => {
              end(`a call took longer than ${Duration.format(Duration.fromInputUnsafe(timeout))}`)
              return answered(id, call)
            }
          })
    return { name, isAlive: () => state._tag === "alive", nextId: () => ids++, call: inTime, ship, send }
  })

/**
 * Ends a thread: when it has done what it is at, if that does not take longer than the grace. Only then by force, and without
 * waiting for it: a native call cannot be interrupted, and one that comes back to a thread that was ended by force may
 * abort the process (onnxruntime-node does).
 */
const ended = async (worker: Worker, grace: number): Promise<void> => {
  if (worker.threadId === -1) return
  const gone = new Promise<true>((resolve) => worker.once("exit", () => resolve(true)))
  const request: Request = { _tag: "end" }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  worker.postMessage(request)
  if (await Promise.race([gone, sleep(grace, false, { ref: false })])) return
  worker.unref()
  void worker.terminate()
  await Promise.race([gone, sleep(100)])
}

/** Slots of a ferry: one that is filled while others are on their way. */
const slots = 4

// Run from its sources, the project resolves its own packages to sources in the thread, too.
const fromSource = import.meta.url.endsWith(".ts")
const entry = new URL(fromSource ? "./worker.ts" : "./worker.js", import.meta.url)
const startedFromSource = fromSource ? { execArgv: ["-C", "@foretoken/source"] } : {}

const limits = ({ resourceLimits }: BackendSource) => (resourceLimits === undefined ? {} : { resourceLimits })

const causeOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  return "code" in cause && cause.code === "ERR_WORKER_OUT_OF_MEMORY" ? "out of memory" : cause.message.split("\n")[0]
}

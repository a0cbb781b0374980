/** The thread that a backend runs in: loads it, says its name, and answers calls until it is ended. */
import { parentPort, workerData } from "node:worker_threads"
import type { Transferable } from "node:worker_threads"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Backend, BackendError } from "../tensor/Backend.ts"
import type { Answer, Request, WorkerData } from "./messages.ts"
import { serve } from "./serve.ts"

interface BackendModule {
  readonly makeBackend: (options: unknown) => Effect.Effect<(typeof Backend)["Service"], BackendError, Scope.Scope>
}

const say = (answer: Answer, transfer: ReadonlyArray<Transferable> = []): void =>
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(answer, transfer)

const { source, ferry } = workerData as WorkerData // what connect gave

try {
  const { makeBackend }: BackendModule = await import(source.module)
  const scope = Scope.makeUnsafe()
  const backend = await Effect.runPromise(Scope.provide(makeBackend(source.options), scope))
  const end = () => void Effect.runPromise(Scope.close(scope, Exit.void)).then(() => parentPort?.close())
  const take = serve(backend, ferry, say, end)
  parentPort?.on("message", (request: Request) => void take(request))
  say({ _tag: "ready", name: backend.name })
} catch (cause) {
  say({ _tag: "unusable", reason: cause instanceof Error ? cause.message : String(cause) })
}

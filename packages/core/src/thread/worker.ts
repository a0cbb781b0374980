/** The thread that a backend runs in: loads it, says its name, and answers calls until it is ended. */
import { parentPort, workerData } from "node:worker_threads"
import type { Transferable } from "node:worker_threads"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Backend, BackendError } from "../tensor/Backend.ts"
import type { Answer, BackendSource, Request } from "./messages.ts"
import { serve } from "./serve.ts"

interface BackendModule {
  readonly makeBackend: (options: unknown) => Effect.Effect<(typeof Backend)["Service"], BackendError, Scope.Scope>
}

const say = (answer: Answer, transfer: ReadonlyArray<Transferable> = []): void =>
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(answer, transfer)

const { module, options } = workerData as BackendSource // what startThread gave

try {
  const { makeBackend }: BackendModule = await import(module)
  const backend = await Effect.runPromise(Scope.provide(makeBackend(options), Scope.makeUnsafe()))
  const take = serve(backend, say)
  parentPort?.on("message", (request: Request) => void take(request))
  say({ _tag: "ready", name: backend.name })
} catch (cause) {
  say({ _tag: "unusable", reason: cause instanceof Error ? cause.message : String(cause) })
}

import type { Effect, Scope } from "effect"
import type { Protocol } from "../actor/Protocol.ts"
import type { Handlers } from "../actor/Protocol.ts"
import type { Backend, BackendError, CompileError, ExecutionError } from "../tensor/Backend.ts"
import type { RunContext } from "./RunContext.ts"

export type StageError = BackendError | CompileError | ExecutionError

/**
 * A part of a pipeline, described: the protocol it speaks, its settings (they go into the manifest), and how an actor of
 * it comes to be. Anything that speaks the same protocol can stand in its place.
 */
export interface Stage<P extends Protocol, S> {
  readonly protocol: P
  readonly settings: S
  readonly make: (context: RunContext) => Effect.Effect<Handlers<P>, StageError, Backend | Scope.Scope>
}

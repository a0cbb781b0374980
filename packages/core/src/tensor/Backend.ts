import { Context, Schema } from "effect"
import type { Duration, Effect, Scope } from "effect"
import type { Routine } from "../routine/Routine.ts"
import type { Graph } from "./Graph.ts"
import type { HostTensor, TensorType } from "./HostTensor.ts"

/** A graph that this backend cannot run, and why. */
export class CompileError extends Schema.TaggedError<CompileError>()("CompileError", {
  backend: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.backend}: ${this.reason}`
  }
}

/** A run that failed. */
export class ExecutionError extends Schema.TaggedError<ExecutionError>()("ExecutionError", {
  backend: Schema.String,
  program: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.backend}: ${this.program}: ${this.reason}`
  }
}

/** A device that is missing, or memory that could not be had. */
export class BackendError extends Schema.TaggedError<BackendError>()("BackendError", {
  backend: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.backend}: ${this.reason}`
  }
}

/**
 * Values that stay where the backend keeps them. A buffer lives as long as the scope it was made in; a run that donates
 * it replaces its contents. Only the backend that made it can read it.
 */
export interface Buffer {
  readonly _tag: "Buffer"
  readonly type: TensorType
}

/** What goes into a run. */
export type Value = HostTensor | Buffer

/**
 * What becomes of an output: copied to the host, kept in a new buffer, or written into the buffer given as input
 * `donate` (same type; the buffer's old contents are gone, and the output is that same buffer).
 */
export type Fetch = "host" | "resident" | { readonly donate: number }

export interface CompileOptions {
  /** Names the program in errors and profiles. */
  readonly name: string
  /** One per output of the graph. */
  readonly fetch: ReadonlyArray<Fetch>
  readonly memory?: Memory
}

/**
 * What a run has used is "released" when it is done, or "kept" for the next: worth it for a program that uses much and runs
 * over and over, and wasteful for one of many. Default: released. A backend that shares memory among programs need not ask.
 */
export type Memory = "released" | "kept"

export interface Program {
  /** Inputs in the order of the graph's; outputs likewise, as `fetch` said. Resident outputs live in the run's scope. */
  readonly run: (inputs: ReadonlyArray<Value>) => Effect.Effect<ReadonlyArray<Value>, ExecutionError, Scope.Scope>
}

export interface ThreadOptions {
  /** Names the thread in errors. */
  readonly name: string
  /** A call that takes longer ends the thread, since nothing else stops a kernel: unlimited unless given. */
  readonly timeout?: Duration.Input
}

/** A backend that computes elsewhere than on the caller's thread, if it can. */
export interface Thread {
  readonly backend: (typeof Backend)["Service"]
  /** False once the thread has ended: then every call fails, and only another thread helps. */
  readonly isAlive: () => boolean
}

/**
 * What runs graphs. It is all that a backend implements, and it is not a tensor library: no eager operations, no
 * gradients; of an optimizer only the few loops over resident values that are its routines. Primitives without a kernel of its own it has expanded (`expand`) before lowering.
 * Every backend passes `laws.backend`.
 */
export class Backend extends Context.Service<
  Backend,
  {
    /** "onnx:cpu", "tfjs:tensorflow", "tfjs:wasm", "reference" */
    readonly name: string
    readonly compile: (graph: Graph, options: CompileOptions) => Effect.Effect<Program, CompileError, Scope.Scope>
    readonly upload: (value: HostTensor) => Effect.Effect<Buffer, BackendError, Scope.Scope>
    /** Overwrites a buffer with values of its type. */
    readonly write: (buffer: Buffer, value: HostTensor) => Effect.Effect<void, BackendError>
    /** A copy: in the memory of `into` where that is given, of the buffer's type, and else in new memory. */
    readonly read: (buffer: Buffer, into?: HostTensor) => Effect.Effect<HostTensor, BackendError>
    /**
     * Changes buffers in place by one of the routines of optimizers and gives the numbers that it finds. A host backend
     * takes `applyOnHost`, a device `routinesAsPrograms`; refused routines change nothing.
     */
    readonly apply: (routine: Routine) => Effect.Effect<ReadonlyArray<number>, BackendError>
    /**
     * Another backend of this kind on a thread of its own, so that the caller's stays free during a run; it ends with the
     * scope. Buffers and programs of the one are not the other's. A backend without threads gives itself.
     */
    readonly thread: (options: ThreadOptions) => Effect.Effect<Thread, BackendError, Scope.Scope>
  }
>()("@foretoken/core/Backend") {}

/**
 * What a backend's thread is asked, and what it answers. All of it is plain data; large values travel in pieces. Values that go to
 * the thread have a sum with them: one that is changed on its way is refused.
 */
import { crc32 } from "node:zlib"
import type { ResourceLimits } from "node:worker_threads"
import type { Routine } from "../routine/Routine.ts"
import type { CompileOptions } from "../tensor/Backend.ts"
import type { DType, HostTensor, TensorType } from "../tensor/HostTensor.ts"
import type { GraphData } from "./GraphData.ts"

/** What a thread is started with. */
export interface WorkerData {
  readonly source: BackendSource
  readonly ferry: Ferry
}

/** Where a thread finds its backend. */
export interface BackendSource {
  /** URL of a module that exports `makeBackend: (options) => Effect<Backend, BackendError, Scope>`. */
  readonly module: string
  /** Plain data. */
  readonly options: unknown
  /** Of the thread's own heap; tensors are outside it. */
  readonly resourceLimits?: ResourceLimits
  /** Milliseconds that a thread gets to end by itself, in which a call under way may finish: 10,000 unless given. */
  readonly grace?: number
}

/** A buffer by the call that made it, and which of its outputs it was. */
export interface BufferId {
  readonly call: number
  readonly output: number
}

/** A value that was sent ahead in pieces. */
export interface Staged {
  readonly staged: number
}

/** A value that goes with its call. */
export interface Summed {
  readonly value: HostTensor
  /** CRC-32 of its bytes where it came from. */
  readonly sum: number
}

export type SentValue = Summed | BufferId | Staged

export const sumOf = ({ buffer, byteOffset, byteLength }: HostTensor["data"]): number =>
  crc32(new Uint8Array(buffer, byteOffset, byteLength))

/** A call has an `id`, and is answered under it. Calls are taken one after the other. */
export type Call =
  | { readonly _tag: "compile"; readonly graph: GraphData; readonly options: CompileOptions }
  | { readonly _tag: "run"; readonly program: number; readonly inputs: ReadonlyArray<SentValue> }
  | { readonly _tag: "upload"; readonly value: Summed | Staged }
  | { readonly _tag: "write"; readonly buffer: BufferId; readonly value: Summed | Staged }
  /** Into memory that both threads share, where that is given. */
  | { readonly _tag: "read"; readonly buffer: BufferId; readonly into: HostTensor | "new memory" }
  | { readonly _tag: "apply"; readonly routine: Routine<BufferId> }

/** Part of a value that a later call refers to: elements from `at` on, as many as lie in a slot of the ferry. */
export interface Piece {
  readonly _tag: "piece"
  readonly staged: number
  readonly type: TensorType
  readonly at: number
  readonly elements: number
  readonly slot: number
  readonly sum: number
}

/** Memory that both threads share, in which pieces of large values go over: allocated once, a few slots of equal size. */
export interface Ferry {
  readonly memory: SharedArrayBuffer
  readonly slots: number
}

/** Bytes of a slot: what is copied at a time, less than a millisecond of work. */
export const slotBytes = 2 ** 20

export const makeFerry = (slots: number): Ferry => ({ memory: new SharedArrayBuffer(slots * slotBytes), slots })

/** The elements in a slot; all element types fit, none is wider than four bytes. */
export const inSlot = ({ memory }: Ferry, slot: number, dtype: DType, elements: number): HostTensor["data"] =>
  inMemory(memory, slot * slotBytes, dtype, elements)

/** Elements from a byte of some memory on. */
export const inMemory = (
  memory: SharedArrayBuffer | ArrayBuffer,
  at: number,
  dtype: DType,
  elements: number
): HostTensor["data"] => {
  switch (dtype) {
    case "f32":
      return new Float32Array(memory, at, elements)
    case "i32":
      return new Int32Array(memory, at, elements)
    case "bool":
      return new Uint8Array(memory, at, elements)
    case "f16":
    case "bf16":
      return new Uint16Array(memory, at, elements)
  }
}

export type Request =
  | { readonly _tag: "call"; readonly id: number; readonly call: Call }
  | Piece
  /** Whatever that call has made is not needed any more. */
  | { readonly _tag: "close"; readonly call: number }
  /** A value that was sent ahead will not be used. */
  | { readonly _tag: "forget"; readonly staged: number }
  /** The last request: all is let go of, and the thread ends by itself. */
  | { readonly _tag: "end" }

/** An output that came to the host, a buffer that is known by its call, or what lies where it was wanted. */
export type SentOutput = HostTensor | "buffer" | "in place"

export type Answer =
  /** A piece was taken out of its slot. */
  | { readonly _tag: "emptied"; readonly slot: number }
  | { readonly _tag: "ready"; readonly name: string }
  | { readonly _tag: "unusable"; readonly reason: string }
  /** A value did not arrive as it was sent: nothing of this thread can be trusted any more. */
  | { readonly _tag: "damaged"; readonly reason: string }
  | {
      readonly _tag: "done"
      readonly id: number
      readonly outputs: ReadonlyArray<SentOutput>
      readonly found: ReadonlyArray<number>
    }
  | { readonly _tag: "failed"; readonly id: number; readonly reason: string }

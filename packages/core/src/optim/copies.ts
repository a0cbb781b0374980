/** Copies of what a learner keeps on its backend: weights, and the moments of its optimizer by `<weight>.m`, `.v`, `.momentum`. */
import { Effect } from "effect"
import { hostF32 } from "../model/Scorer.ts"
import type { Weights } from "../model/weights.ts"
import type { Backend, BackendError, Buffer } from "../tensor/Backend.ts"
import type { HostF32 } from "../tensor/HostTensor.ts"
import { HostTensor as Host, sizeOf } from "../tensor/HostTensor.ts"
import type { ReusedMemory } from "./reusedMemory.ts"

type Read = (typeof Backend)["Service"]["read"]

/** Buffers by name. */
export type Buffers = ReadonlyMap<string, Buffer>

/** Has each weight once it is copied, while others still are: it is to return soon. */
type Arrived = (weight: HostF32) => Effect.Effect<void>

export const copyWeights = (
  read: Read,
  weights: Buffers,
  memory: ReusedMemory,
  arrived: Arrived = () => Effect.void
): Effect.Effect<Weights, BackendError> =>
  // Not all at once: memory that arrives makes the collector work.
  copyEach(weights, 2, (name, buffer) => {
    const { shape } = buffer.type
    const data = memory.take(name, sizeOf(shape))
    const into = data === undefined ? undefined : Host.f32(shape, data)
    return Effect.tap(
      Effect.map(read(buffer, into), (value) => Host.f32(shape, hostF32(value))),
      arrived
    )
  })

/** Into the memory of `spare`, or else into new memory that threads share: it does not burden the collector of this one. */
export const copyMoments = (read: Read, moments: Buffers, spare: Weights): Effect.Effect<Weights, BackendError> =>
  copyEach(moments, 8, (name, buffer) => {
    const { shape } = buffer.type
    const size = sizeOf(shape)
    const data = spare[name]?.data ?? new Float32Array(new SharedArrayBuffer(4 * size))
    // Moments are kept in files as vectors.
    return Effect.as(read(buffer, Host.f32(shape, data)), Host.f32([size], data))
  })

const copyEach = (
  buffers: Buffers,
  concurrency: number,
  copy: (name: string, buffer: Buffer) => Effect.Effect<HostF32, BackendError>
): Effect.Effect<Weights, BackendError> =>
  Effect.map(
    Effect.forEach(buffers, ([name, buffer]) => Effect.map(copy(name, buffer), (value) => [name, value] as const), {
      concurrency
    }),
    (all) => Object.fromEntries<HostF32>(all)
  )

export interface CopyTarget {
  /** Moments of before in shared memory, which are gone then: nothing as large as the model is allocated. */
  readonly spare: Weights
  readonly arrived: Arrived
}

/** Copies that are made part by part. */
export interface Copies {
  readonly of: (names: ReadonlyArray<string>) => Effect.Effect<void, BackendError>
  /** Copies what is left, and gives all. */
  readonly rest: Effect.Effect<{ readonly weights: Weights; readonly moments: Weights }, BackendError>
}

export const beginCopies = (
  read: Read,
  weights: Buffers,
  moments: Buffers,
  memory: ReusedMemory,
  { spare, arrived }: CopyTarget
): Copies => {
  let copied = { weights: {} as Weights, moments: {} as Weights }
  const copy = Effect.fnUntraced(function* (some: Buffers, theirs: Buffers) {
    const both = [copyWeights(read, some, memory, arrived), copyMoments(read, theirs, spare)] as const
    const [more, moved] = yield* Effect.all(both, { concurrency: 2 })
    copied = { weights: { ...copied.weights, ...more }, moments: { ...copied.moments, ...moved } }
    return copied
  })
  return {
    of: (names) => {
      const own = new Set(names)
      return copy(
        only(weights, (name) => own.has(name)),
        only(moments, (name) => own.has(weightOf(name)))
      )
    },
    rest: Effect.suspend(() =>
      copy(
        only(weights, (name) => !(name in copied.weights)),
        only(moments, (name) => !(name in copied.moments))
      )
    )
  }
}

const only = (buffers: Buffers, wanted: (name: string) => boolean): Buffers =>
  new Map([...buffers].filter(([name]) => wanted(name)))

/** The weight that a moment belongs to: the name without its last part. */
export const weightOf = (moment: string): string => moment.slice(0, moment.lastIndexOf("."))

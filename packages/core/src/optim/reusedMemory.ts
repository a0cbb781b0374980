/** Memory for copies of the same values, again and again. */
export interface ReusedMemory {
  /** Memory for the numbers of `name`, with whatever was there before; none while all that may be kept is held by someone. */
  readonly take: (name: string, size: number) => Float32Array | undefined
}

/** A piece of memory, and the handle to it that was given out: every view of it keeps that handle alive. */
interface Piece {
  readonly memory: SharedArrayBuffer
  readonly given: WeakRef<SharedArrayBuffer>
}

/** Below so many bytes it does not matter. */
const worthwhile = 2 ** 16

/**
 * Gives out up to `most` pieces of memory for each name. One is given out again once the collector has found that nobody holds what was
 * made in it, so nobody has to say so, and nobody can be mistaken about it. It is memory that threads share: V8 does not count it, where
 * the arrival of as much ordinary memory would have it collect the whole heap.
 */
export const makeReusedMemory = (most: number): ReusedMemory => {
  const pieces = new Map<string, ReadonlyArray<Piece>>()
  return {
    take: (name, size) => {
      const own = pieces.get(name) ?? []
      const free = own.find(({ memory, given }) => memory.byteLength === 4 * size && given.deref() === undefined)
      if (4 * size < worthwhile || (free === undefined && own.length >= most)) return undefined
      const memory = free?.memory ?? new SharedArrayBuffer(4 * size)
      // Another handle to the same memory.
      const handle = structuredClone(memory)
      const others = own.filter((piece) => piece !== free)
      pieces.set(name, [...others, { memory, given: new WeakRef(handle) }])
      return new Float32Array(handle)
    }
  }
}

/** So many policies of so many bytes have memory that is used again: three, but no more than 256 MiB. */
export const policiesReused = (bytes: number): number => Math.min(3, Math.floor(2 ** 28 / bytes))

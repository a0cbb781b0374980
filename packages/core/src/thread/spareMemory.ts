import type { HostTensor, TensorType } from "../tensor/HostTensor.ts"
import { HostTensor as Host, sizeOf } from "../tensor/HostTensor.ts"
import { inMemory } from "./messages.ts"

/** Memory for values on their way. */
export interface SpareMemory {
  /** A value of the type, with whatever was there before. */
  readonly take: (type: TensorType) => HostTensor
  /** Of a value that nobody reads any more. */
  readonly giveBack: (value: HostTensor) => void
}

/** As many values are sent ahead at a time (`residentWeights`). */
const most = 2

/**
 * Keeps the largest memory that was given back, for what comes next: fresh pages cost more than a copy does, and arrays that
 * come and go make the collector work. It grows to the largest values that were on their way at the same time.
 */
export const makeSpareMemory = (): SpareMemory => {
  /** From small to large. */
  const spare: Array<ArrayBuffer> = []
  return {
    take: ({ dtype, shape }) => {
      const size = sizeOf(shape)
      const bytes = size * Host.allocate(dtype, 0).BYTES_PER_ELEMENT
      const at = spare.findIndex(({ byteLength }) => byteLength >= bytes)
      const memory = at >= 0 ? spare.splice(at, 1)[0] : new ArrayBuffer(bytes)
      return Host.make(dtype, shape, inMemory(memory, 0, dtype, size))
    },
    giveBack: ({ data: { buffer } }) => {
      if (!(buffer instanceof ArrayBuffer)) return
      spare.push(buffer)
      spare.sort((a, b) => a.byteLength - b.byteLength)
      if (spare.length > most) spare.shift()?.transfer(0)
    }
  }
}

import type { AdamWArrays, AdamWNumbers } from "../adamw.ts"
import { adamw as plainAdamw, checkLengths } from "../adamw.ts"
import { lanes, sumOfLanes, sumOfSquares as plainSumOfSquares } from "../clip.ts"
import { chunk, moduleBytes, numbers as inOrder, places, stride } from "./kernels.ts"

/** The loops of a host over whole arrays. */
export interface Loops {
  readonly adamw: (arrays: AdamWArrays, numbers: AdamWNumbers) => void
  readonly sumOfSquares: (array: Float32Array) => number
}

/** As much of the global as is used here: TypeScript has it among the types of browsers only. */
declare const WebAssembly: {
  readonly validate: (bytes: Uint8Array) => boolean
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

/** What the module exports (kernels.ts); `end` is in bytes. */
interface Kernels {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly adamw: (end: number, ...numbers: ReadonlyArray<number>) => void
  readonly squares: (end: number) => void
}

const inChunks = ({ memory: { buffer }, adamw, squares }: Kernels): Loops => {
  const array = (place: number) => new Float32Array(buffer, place, chunk)
  const [param, grad, m, v] = [array(places.param), array(places.grad), array(places.m), array(places.v)]
  const sums = new Float64Array(buffer, places.sums, lanes)
  /** The end of so many elements, filled up to whole turns of a loop: what comes of the rest is left where it is. */
  const end = (length: number) => Math.ceil(length / stride) * stride * Float32Array.BYTES_PER_ELEMENT
  return {
    adamw: (arrays, numbers) => {
      checkLengths(arrays)
      const { length } = arrays.param
      const given = inOrder.map((name) => numbers[name])
      for (let from = 0; from < length; from += chunk) {
        const to = Math.min(from + chunk, length)
        param.set(arrays.param.subarray(from, to))
        grad.set(arrays.grad.subarray(from, to))
        m.set(arrays.m.subarray(from, to))
        v.set(arrays.v.subarray(from, to))
        adamw(end(to - from), ...given)
        arrays.param.set(param.subarray(0, to - from), from)
        arrays.m.set(m.subarray(0, to - from), from)
        arrays.v.set(v.subarray(0, to - from), from)
      }
    },
    sumOfSquares: (array) => {
      sums.fill(0)
      for (let from = 0; from < array.length; from += chunk) {
        const to = Math.min(from + chunk, array.length)
        grad.set(array.subarray(from, to))
        grad.fill(0, to - from) // squares of 0 change no sum
        squares(end(to - from))
      }
      return sumOfLanes(sums)
    }
  }
}

const made = (): Loops => {
  const bytes = moduleBytes()
  // A processor without the vectors that V8 wants refuses the module.
  if (!WebAssembly.validate(bytes)) return { adamw: plainAdamw, sumOfSquares: plainSumOfSquares }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes))
  return inChunks(exports as Kernels) // by their types in kernels.ts
}

let known: Loops | undefined

/** On vectors where the processor has them, and else plain: the same bits either way. Assembled when they are first asked for. */
export const optimizerLoops = (): Loops => (known ??= made())

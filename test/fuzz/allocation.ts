/** Watches what is asked of the memory: every typed array, buffer and array of a length that somebody gives. */

const bytesEach = {
  Array: 8,
  ArrayBuffer: 1,
  Uint8Array: 1,
  Int32Array: 4,
  Uint32Array: 4,
  Float32Array: 4,
  Float64Array: 8
} as const

let largest = 0

const note = (value: unknown, each: number): void => {
  // A length, and no list of elements: `new Array(7)`, not `new Array(7, 8)`.
  if (typeof value === "number" && value * each > largest) largest = value * each
}

/** Starts to watch, for good. Returns a function that gives the bytes of the largest request since it was last called. */
export const watchAllocations = (): (() => number) => {
  // The constructors of the global object by name: what a reader calls is looked up there.
  const scope = globalThis as unknown as Record<string, new (...given: Array<unknown>) => object>
  for (const [name, each] of Object.entries(bytesEach)) {
    scope[name] = new Proxy(scope[name], {
      construct(target, given, newTarget) {
        if (given.length === 1) note(given[0], each)
        return Reflect.construct(target, given, newTarget)
      },
      // Only Array can be called without new.
      apply(target, self, given) {
        if (given.length === 1) note(given[0], each)
        return Reflect.apply(target, self, given)
      }
    })
  }
  for (const name of ["alloc", "allocUnsafe", "allocUnsafeSlow"] as const) {
    const original = Buffer[name]
    Buffer[name] = (size: number, ...given: Array<never>) => {
      note(size, 1)
      return original(size, ...given)
    }
  }
  return () => {
    const seen = largest
    largest = 0
    return seen
  }
}

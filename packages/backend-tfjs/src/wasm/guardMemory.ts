/** Of Emscripten's module, what tfjs's types leave out. */
interface Memory {
  _malloc: (bytes: number) => number
  readonly _free: (address: number) => void
}

/** tfjs writes to address 0 when WebAssembly's 4 GB are spent, and corrupts itself; an error comes before that. */
export const guardMemory = (module: object): void => {
  const memory = module as Memory // every module that Emscripten makes with a heap has both
  memory._free(memory._malloc(1)) // the first call puts the real function in place
  const allocate = memory._malloc
  memory._malloc = (bytes) => {
    const address = allocate(bytes)
    if (address === 0 && bytes > 0) throw new Error(`WebAssembly is out of memory (${bytes} bytes more were asked for)`)
    return address
  }
}

import { mkdtempSync, rmSync } from "node:fs"
import { open } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

/** A directory for the tests of one file, removed after them. */
export const temporaryDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "foretoken-"))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Runs `action` on a disk that is full after `writes` more writes through file handles: each later one fails with ENOSPC. */
export const withFullDisk = async <A>(writes: number, action: () => Promise<A>): Promise<A> => {
  const handle = await open(tmpdir(), "r")
  const prototype: { write: (...args: Array<unknown>) => Promise<unknown> } = Object.getPrototypeOf(handle)
  await handle.close()
  const original = prototype.write
  let left = writes
  prototype.write = function (...args) {
    if (left-- <= 0)
      return Promise.reject(Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" }))
    return original.apply(this, args)
  }
  try {
    return await action()
  } finally {
    prototype.write = original
  }
}

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Fiber, Result } from "effect"
import { describe, expect, it } from "vitest"
import { sweep, writeDirectoryAtomically, writeTextAtomically } from "../../src/storage/atomic.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { StorageError, reasonOf } from "../../src/storage/StorageError.ts"
import { makeMemoryDisk } from "../../src/testing/memoryDisk.ts"
import type { MemoryDisk } from "../../src/testing/memoryDisk.ts"
import { temporaryDirectory, withFullDisk } from "../temporary.ts"

const root = temporaryDirectory()
let made = 0
const fresh = () => {
  const directory = join(root, `${made++}`)
  mkdirSync(directory)
  return directory
}

describe("an atomic write", () => {
  it("replaces a file at once, and leaves the old one where the disk is full", async () => {
    const directory = fresh()
    const path = join(directory, "file")
    await Effect.runPromise(writeTextAtomically(path, "old"))
    const failed = await withFullDisk(0, () => Effect.runPromise(Effect.flip(writeTextAtomically(path, "new"))))
    expect(failed.message).toBe(`${path}: the disk is full; nothing was written`)
    expect(readFileSync(path, "utf8")).toBe("old")
    await Effect.runPromise(writeTextAtomically(path, "new"))
    expect(readFileSync(path, "utf8")).toBe("new")
    expect(readdirSync(directory)).toEqual(["file"])
  })

  it("of a directory leaves nothing behind when it fails, dies or is interrupted", async () => {
    const parent = fresh()
    const target = join(parent, "target")
    const filled = (last: Effect.Effect<void, string>) =>
      writeDirectoryAtomically(target, (temporary) =>
        Effect.andThen(
          Effect.sync(() => writeFileSync(join(temporary, "part"), "x")),
          last
        )
      )
    for (const last of [Effect.fail("no"), Effect.die(new Error("bug"))]) {
      expect(Exit.isFailure(await Effect.runPromise(Effect.exit(filled(last))))).toBe(true)
      expect(readdirSync(parent)).toEqual([])
    }
    const fiber = Effect.runFork(filled(Effect.never))
    while (readdirSync(parent).length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    await Effect.runPromise(Fiber.interrupt(fiber))
    expect(readdirSync(parent)).toEqual([])
    await Effect.runPromise(filled(Effect.void))
    expect(readdirSync(target)).toEqual(["part"])
  })

  it("of a directory names the target in its errors, not the temporary sibling", async () => {
    const target = join(fresh(), "target")
    const inside = writeDirectoryAtomically(target, (temporary) =>
      writeTextAtomically(join(temporary, "no", "file"), "")
    )
    const result = await Effect.runPromise(Effect.result(inside))
    expect(Result.getOrThrow(Result.flip(result)).message).toBe(
      `${join(target, "no", "file")}: no such file or directory`
    )
  })

  it("below a file, and over a file, is refused in words", async () => {
    const file = join(fresh(), "file")
    writeFileSync(file, "")
    const reason = async (path: string) =>
      (await Effect.runPromise(Effect.flip(writeDirectoryAtomically(path, () => Effect.void)))).reason
    expect(await reason(join(file, "x"))).toBe("a part of this path is a file, not a directory")
    expect(await reason(file)).toBe("a part of this path is a file, not a directory")
  })
})

describe("a storage error", () => {
  it("is one line, whatever was thrown", () => {
    expect(reasonOf(Object.assign(new Error("ENOSPC: …"), { code: "ENOSPC" }))).toMatch(/^the disk is full/)
    expect(reasonOf(new Error("two\n  lines"))).toBe("two lines")
    expect(reasonOf("thrown text")).toBe("thrown text")
    expect(new StorageError({ path: "p", reason: "r" }).message).toBe("p: r")
  })
})

describe("what a loss of power leaves", () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  /** Runs until the machine dies at its k-th call to the disk, for every k, and looks at the files after each. */
  const everyDeath = async (
    effect: Effect.Effect<void, StorageError>,
    look: (files: ReadonlyMap<string, string>) => void
  ) => {
    for (let k = 0, alive = false; !alive; k++) {
      let calls = 0
      const memory: MemoryDisk = makeMemoryDisk({
        before: () => Effect.sync(() => (calls++ === k ? memory.crash((unsynced) => unsynced >> 1) : undefined))
      })
      memory.put("/d/file", bytes("old"))
      memory.put("/d/full/a", bytes("old"))
      alive =
        Exit.isSuccess(await Effect.runPromiseExit(Effect.provideService(effect, Disk, memory.boot()))) && calls <= k
      if (alive) memory.crash(() => 0)
      const text = (content: Uint8Array) => new TextDecoder().decode(content)
      look(new Map([...memory.files()].map(([path, content]) => [path, text(content)])))
    }
  }

  it("of a file that is written atomically is the old one or the new one, whole", async () => {
    const seen = new Set<string | undefined>()
    await everyDeath(writeTextAtomically("/d/file", "brand new"), (files) => seen.add(files.get("/d/file")))
    expect(seen).toEqual(new Set(["old", "brand new"]))
  })

  it("of a directory that is written atomically is nothing under its name, or all of it", async () => {
    const seen = new Set<string>()
    const write = writeDirectoryAtomically("/d/new", (temporary) =>
      Effect.andThen(writeTextAtomically(join(temporary, "a"), "1"), writeTextAtomically(join(temporary, "b"), "2"))
    )
    await everyDeath(write, (files) => {
      seen.add([...files].flatMap(([path, text]) => (path.startsWith("/d/new/") ? [`${path}=${text}`] : [])).join())
    })
    expect(seen).toEqual(new Set(["", "/d/new/a=1,/d/new/b=2"]))
  })

  it("is swept up: half-written and half-removed things go, everything else stays", async () => {
    const directory = fresh()
    const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
    for (const name of [".file.partial-x", ".gitignore", "file", `.file.partial-${id}`, `.5.removed-${id}`]) {
      writeFileSync(join(directory, name), "")
    }
    await Effect.runPromise(sweep(directory))
    expect(readdirSync(directory).toSorted()).toEqual([".file.partial-x", ".gitignore", "file"])
  })
})

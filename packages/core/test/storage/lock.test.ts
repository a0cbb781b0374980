import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { Effect, Result } from "effect"
import { describe, expect, it } from "vitest"
import { Disk } from "../../src/storage/Disk.ts"
import { makeMemoryDisk } from "../../src/testing/memoryDisk.ts"
import { temporaryDirectory } from "../temporary.ts"

const directory = temporaryDirectory()

/** What one who comes gets: the file, or why not. */
const attempt = (path: string) =>
  Effect.runPromise(Effect.result(Effect.scoped(Effect.flatMap(Disk, (disk) => disk.lock(path)))))

describe("a locked file", () => {
  it("is refused to whoever comes, until the one who has it is through", async () => {
    const path = join(directory, "held")
    const inside = Effect.flatMap(Disk, (disk) => disk.lock(path)).pipe(
      Effect.andThen(Effect.promise(() => attempt(path)))
    )
    const refused = Result.getOrThrow(Result.flip(await Effect.runPromise(Effect.scoped(inside))))
    expect(refused.message).toBe(`${path}: is in use by another process`)
    expect(refused.isTaken).toBe(true)
    expect(Result.isSuccess(await attempt(path))).toBe(true)
  })

  it("is refused while another process has it, and is free as soon as that one is killed", async () => {
    const path = join(directory, "elsewhere")
    const program = `
      import { Effect } from "effect"
      import { Disk } from ${JSON.stringify(new URL("../../src/storage/Disk.ts", import.meta.url).href)}
      const said = Effect.sync(() => console.log("held"))
      await Effect.runPromise(Effect.scoped(Effect.flatMap(Disk, (disk) => disk.lock(${JSON.stringify(path)})).pipe(
        Effect.andThen(said), Effect.andThen(Effect.sleep("1 minute")))))`
    const args = ["-C", "@foretoken/source", "--input-type=module", "-e", program]
    const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] })
    await once(child.stdout, "data")
    expect(Result.getOrThrow(Result.flip(await attempt(path))).isTaken).toBe(true)
    child.kill("SIGKILL")
    await once(child, "close")
    expect(Result.isSuccess(await attempt(path))).toBe(true)
  })

  it("that cannot be made is another matter", async () => {
    const refused = Result.getOrThrow(Result.flip(await attempt(join(directory, "nowhere", "lock"))))
    expect(refused.isTaken).toBe(false)
    expect(refused.message).toMatch(/^[^\n]+nowhere\/lock: [^\n]+$/)
  })

  it("is free after a crash of a machine in memory, whatever the dead one does afterwards", async () => {
    const memory = makeMemoryDisk()
    const on = <A, E>(effect: Effect.Effect<A, E>) => Effect.provideService(effect, Disk, memory.boot())
    const lock = Effect.flatMap(Disk, (disk) => disk.lock("/run/lock"))
    const inside = Effect.gen(function* () {
      expect(Result.isFailure(yield* Effect.result(Effect.scoped(lock)))).toBe(true)
      memory.crash((unsynced) => unsynced)
    })
    await Effect.runPromise(on(Effect.scoped(Effect.andThen(lock, inside))))
    const again = Effect.scoped(Effect.andThen(lock, Effect.exit(Effect.scoped(lock))))
    expect((await Effect.runPromise(on(again)))._tag).toBe("Failure")
  })
})

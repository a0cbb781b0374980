/**
 * A disk in memory that forgets as real ones do. What was written but not synced can be lost in a crash, the last of it torn
 * anywhere; a file's name that was made, moved or removed counts once its directory is synced. Directories come and go at once.
 */
import { basename, dirname, resolve, sep } from "node:path"
import { Effect } from "effect"
import type { DiskFile, DiskService, OpenMode } from "../storage/Disk.ts"
import { StorageError } from "../storage/StorageError.ts"

/** What a disk is about to do, for whoever wants to refuse it, slow it down, or end the machine. */
export interface DiskCall {
  readonly call:
    | "open"
    | "write"
    | "read"
    | "truncate"
    | "sync"
    | "list"
    | "makeDirectory"
    | "rename"
    | "remove"
    | "syncDirectory"
    | "lock"
  readonly path: string
  /** Of a write, in bytes; 0 for other calls. */
  readonly bytes: number
}

export interface MemoryDiskOptions {
  /** Runs before every call, which fails with its failure; of a write that fails, `written(bytes)` bytes arrive. */
  readonly before?: (call: DiskCall) => Effect.Effect<void, StorageError>
  readonly written?: (bytes: number) => number
}

export interface MemoryDisk {
  /** The disk as the running machine sees it, to provide as `Disk`. It is dead after the next crash: boot again. */
  readonly boot: () => DiskService
  /** Power is lost: of each file, `kept(n)` of its n bytes that are not synced survive. */
  readonly crash: (kept: (unsynced: number) => number) => void
  readonly files: () => ReadonlyMap<string, Uint8Array>
  /** Puts a file there, whole and durable: to plant damage. */
  readonly put: (path: string, bytes: Uint8Array) => void
}

interface Inode {
  bytes: Uint8Array
  /** What of `bytes` a crash leaves: shorter after a write, longer after a truncation, until a sync. */
  synced: Uint8Array
}

const nothing = new Uint8Array(0)

export const makeMemoryDisk = ({
  before = () => Effect.void,
  written = () => 0
}: MemoryDiskOptions = {}): MemoryDisk => {
  let names = new Map<string, Inode>()
  let durable = new Map<string, Inode>()
  const directories = new Set<string>()
  const locked = new Set<string>()
  let epoch = 0

  const fail = (path: string, code: string) => StorageError.of(path, Object.assign(new Error(code), { code }))
  const within = (directory: string) => (path: string) => path.startsWith(`${directory}${sep}`)

  /** Every call happens at once, behind whatever `before` waits for; a machine that has crashed makes none. */
  const caller =
    (booted: number) =>
    <A, R>(call: DiskCall["call"], path: string, run: (path: string) => Effect.Effect<A, StorageError, R>, bytes = 0) =>
      Effect.suspend(() => {
        const absolute = resolve(path)
        const checked = Effect.suspend(() => (booted === epoch ? run(absolute) : Effect.fail(fail(path, "EIO"))))
        return Effect.andThen(before({ call, path: absolute, bytes }), checked)
      })

  const fileOf = (path: string, inode: Inode, booted: number): DiskFile => {
    const called = caller(booted)
    const on = <A>(call: DiskCall["call"], run: () => A, bytes = 0) => called(call, path, () => Effect.sync(run), bytes)
    const grow = (bytes: Uint8Array) => {
      const grown = new Uint8Array(inode.bytes.length + bytes.length)
      grown.set(inode.bytes)
      grown.set(bytes, inode.bytes.length)
      inode.bytes = grown
    }
    return {
      path,
      size: Effect.sync(() => inode.bytes.length),
      write: (bytes) =>
        Effect.tapError(
          on("write", () => grow(bytes), bytes.length),
          () => Effect.sync(() => booted === epoch && grow(bytes.slice(0, written(bytes.length))))
        ),
      read: (into, position) =>
        on("read", () => {
          if (position + into.length > inode.bytes.length) return false
          into.set(inode.bytes.subarray(position, position + into.length))
          return true
        }),
      truncate: (size) => on("truncate", () => void (inode.bytes = inode.bytes.slice(0, size))),
      sync: on("sync", () => void (inode.synced = inode.bytes)),
      close: Effect.void
    }
  }

  const open = (path: string, mode: OpenMode, booted: number) => {
    const there = names.get(path)
    if (there === undefined && mode === "read")
      return Effect.fail(fail(path, directories.has(path) ? "EISDIR" : "ENOENT"))
    if (there !== undefined && mode === "create") return Effect.fail(fail(path, "EEXIST"))
    if (there === undefined && !directories.has(dirname(path))) return Effect.fail(fail(path, "ENOENT"))
    const inode = there ?? { bytes: nothing, synced: nothing }
    names.set(path, inode)
    return Effect.succeed(fileOf(path, inode, booted))
  }

  const list = (directory: string) => {
    if (!directories.has(directory)) return Effect.fail(fail(directory, "ENOENT"))
    const below = [...names.keys(), ...directories].filter((path) => path !== directory && dirname(path) === directory)
    return Effect.succeed(below.map((path) => basename(path)).toSorted())
  }

  const makeDirectory = (path: string) =>
    Effect.sync(() => {
      for (let at = path; dirname(at) !== at; at = dirname(at)) directories.add(at)
    })

  const rename = (from: string, to: string) =>
    Effect.sync(() => {
      const moved = (path: string) => (path === from || within(from)(path) ? to + path.slice(from.length) : path)
      names = new Map([...names].map(([path, inode]) => [moved(path), inode]))
      const kept = [...directories].map(moved)
      directories.clear()
      for (const path of kept) directories.add(path)
      // A directory that moves takes along what was durable in it: its entries are its own.
      if (directories.has(to)) durable = new Map([...durable].map(([path, inode]) => [moved(path), inode]))
    })

  const remove = (path: string) =>
    Effect.sync(() => {
      names = new Map([...names].filter(([other]) => other !== path && !within(path)(other)))
      for (const other of directories) if (other === path || within(path)(other)) directories.delete(other)
    })

  const syncDirectory = (directory: string) =>
    Effect.sync(() => {
      const direct = (path: string) => dirname(path) === directory
      const others = [...durable].filter(([path]) => !direct(path))
      durable = new Map([...others, ...[...names].filter(([path]) => direct(path))])
    })

  const lock = (path: string, booted: number) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (locked.has(path)) return Effect.fail(fail(path, "EBUSY"))
        locked.add(path)
        return Effect.void
      }),
      () => Effect.sync(() => booted === epoch && locked.delete(path))
    )

  return {
    boot: () => {
      const booted = epoch
      const called = caller(booted)
      return {
        open: (path, mode) => called("open", path, (at) => open(at, mode, booted)),
        list: (directory) => called("list", directory, list),
        makeDirectory: (path) => called("makeDirectory", path, makeDirectory),
        rename: (from, to) => called("rename", to, (at) => rename(resolve(from), at)),
        remove: (path) => called("remove", path, remove),
        syncDirectory: (path) => called("syncDirectory", path, syncDirectory),
        lock: (path) => called("lock", path, (at) => lock(at, booted))
      }
    },
    crash: (kept) => {
      epoch++
      locked.clear()
      for (const [path, inode] of durable) {
        const unsynced = Math.max(0, inode.bytes.length - inode.synced.length)
        const from = unsynced > 0 ? inode.bytes : inode.synced
        const bytes = from.slice(0, inode.synced.length + kept(unsynced))
        durable.set(path, { bytes, synced: bytes })
      }
      names = new Map(durable)
    },
    files: () => new Map([...names].map(([path, { bytes }]) => [path, bytes])),
    put: (path, bytes) => {
      const at = resolve(path)
      for (let above = dirname(at); dirname(above) !== above; above = dirname(above)) directories.add(above)
      const inode = { bytes, synced: bytes }
      names.set(at, inode)
      durable.set(at, inode)
    }
  }
}

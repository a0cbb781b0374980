/** One life of a process with its faults: what stands between the pipeline and its disk, its messages and its time. */
import { basename } from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Delivery, Transport } from "../../actor/Transport.ts"
import type { DiskFile, DiskService } from "../../storage/Disk.ts"
import { StorageError } from "../../storage/StorageError.ts"
import { BackendError } from "../../tensor/Backend.ts"
import type { MemoryDisk } from "../memoryDisk.ts"
import { Conductor } from "./Conductor.ts"
import type { ActorFault, Death, DiskFault, Fault, Hit, MessageFault } from "./Plan.ts"
import { showHit } from "./Plan.ts"

/** Looks on while a run lives: what it says is wrong ends the simulation. */
export interface Observer {
  readonly begun: (delivery: Delivery) => string | undefined
  readonly done: (delivery: Delivery, reply: unknown) => string | undefined
}

/** Milliseconds into a message at which an actor crashes in the middle of it. */
const middle = 15

/** Changes of the disk that a slow one goes on for. */
const slowFor = 20

const crash = Effect.die(new Error("crashed by the simulation"))

/** What happened, in a line that is made when somebody asks. */
export interface Happening {
  readonly kind: string
  readonly line: () => string
}

export class Life {
  readonly conductor: Conductor
  readonly trace: Array<Happening> = []
  readonly hits: Array<Hit> = []
  /** What an observer found wrong. */
  broken: string | undefined
  readonly counts = {
    message: new Map<string, number>(),
    disk: new Map<string, number>(),
    actor: new Map<string, number>()
  }
  readonly #faults: ReadonlyArray<Fault>
  readonly #memory: MemoryDisk
  readonly #observer: Observer
  #changes = 0
  #slow = { until: -1, millis: 0 }

  constructor(order: number, faults: ReadonlyArray<Fault>, memory: MemoryDisk, observer: Observer) {
    this.conductor = new Conductor(order)
    this.#faults = faults
    this.#memory = memory
    this.#observer = observer
  }

  get stopped(): boolean {
    return this.hits.some(({ fault }) => fault.what._tag === "Stop")
  }

  /** `kind`: of the file that it is about. */
  say(line: () => string, kind = ""): void {
    const { now } = this.conductor
    this.trace.push({ kind, line: () => `${now.toFixed(0).padStart(6)} ms  ${line()}` })
  }

  /** The number of this one among its kind, and what becomes of it. */
  #next<P extends Fault["place"]>(place: P, kind: string) {
    const nth = this.counts[place].get(kind) ?? 0
    this.counts[place].set(kind, nth + 1)
    const isHere = (fault: Fault): fault is Fault & { readonly place: P } =>
      fault.place === place && fault.kind === kind && fault.nth === nth
    return { nth, fault: this.#faults.find(isHere) }
  }

  #hit(fault: Fault, on: string): void {
    const hit = { fault, on }
    this.hits.push(hit)
    this.say(() => `-> ${showHit(hit)}`)
  }

  #die(death: Death): Effect.Effect<never> {
    this.#memory.crash((unsynced) => (death._tag === "Kill" ? unsynced : Math.floor(unsynced * death.keeps)))
    this.conductor.kill()
    return Effect.never
  }

  #look(finding: string | undefined): void {
    if (finding === undefined) return
    this.broken ??= finding
    this.conductor.kill()
  }

  readonly transport: ReturnType<typeof Transport.defaultValue> = {
    deliver: (delivery, handle) =>
      Effect.suspend(() => {
        const { request } = delivery
        const { nth, fault } = this.#next("message", request)
        this.say(() => `${request} ${nth}: ${showDelivery(delivery)}`)
        this.#look(this.#observer.begun(delivery))
        const watched = Effect.onExit(handle, (exit) =>
          Effect.sync(() => {
            this.say(() => `${request} ${nth}: ${delivery.actor} ${Exit.isSuccess(exit) ? "replies" : "fails"}`)
            if (Exit.isSuccess(exit)) this.#look(this.#observer.done(delivery, exit.value))
          })
        )
        return fault === undefined ? watched : this.#deliverFaulty(fault, fault.what, delivery, watched)
      }),
    make: (actor, make) =>
      Effect.suspend(() => {
        const { fault } = this.#next("actor", actor.replace(/-\d+$/, ""))
        this.say(() => `${actor} is made`)
        return fault === undefined ? make : this.#makeFaulty(fault, fault.what, actor, make)
      })
  }

  #deliverFaulty<A, E>(fault: Fault, what: MessageFault, delivery: Delivery, handle: Effect.Effect<A, E>) {
    const hit = () => this.#hit(fault, showDelivery(delivery))
    const begins = Effect.sync(hit)
    switch (what._tag) {
      case "Crash":
        if (what.when === "before") return Effect.andThen(begins, crash)
        if (what.when === "after") return handle.pipe(Effect.andThen(begins), Effect.andThen(crash))
        return Effect.raceFirst(handle, Effect.sleep(middle).pipe(Effect.andThen(begins), Effect.andThen(crash)))
      case "Stall":
        return begins.pipe(Effect.andThen(Effect.sleep(what.millis)), Effect.andThen(handle))
      case "Twice":
        return handle.pipe(Effect.andThen(begins), Effect.andThen(handle))
      case "Stop":
        return Effect.suspend(() => {
          hit()
          this.conductor.stop()
          return handle
        })
      default:
        return Effect.suspend(() => {
          hit()
          return this.#die(what)
        })
    }
  }

  #makeFaulty<A, E, R>(
    fault: Fault,
    what: ActorFault,
    actor: string,
    make: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    this.#hit(fault, actor)
    switch (what._tag) {
      case "Refuse":
        // A backend that is not there is a failure of every stage's `make`.
        return Effect.fail(new BackendError({ backend: "modelled", reason: "refused" }) as E)
      case "Crash":
        return Effect.andThen(what.when === "before" ? Effect.void : make, crash)
      case "Stall":
        return Effect.andThen(Effect.sleep(what.millis), make)
      default:
        return this.#die(what)
    }
  }

  /** The disk of this life, booted now. */
  disk(): DiskService {
    const disk = this.#memory.boot()
    const change = <A>(
      call: string,
      path: string,
      run: Effect.Effect<A, StorageError>,
      part: (share: number) => Effect.Effect<void, StorageError> = () => Effect.void
    ): Effect.Effect<A, StorageError> =>
      Effect.suspend(() => {
        const kind = kindOf(path)
        const { nth, fault } = this.#next("disk", kind)
        this.#changes++
        const on = `${call} ${shortPath(path)}`
        this.say(() => `${kind} ${nth}: ${on}`, kind)
        if (fault !== undefined) {
          this.#hit(fault, on)
          if (fault.what._tag === "Slow") this.#slow = { until: this.#changes + slowFor, millis: fault.what.millis }
          else return this.#changeFaulty(fault.what, path, part)
        }
        return this.#changes <= this.#slow.until ? Effect.delay(run, this.#slow.millis) : run
      })
    const faulty = (file: DiskFile): DiskFile => ({
      ...file,
      write: (bytes) =>
        change(`write ${bytes.length} bytes`, file.path, file.write(bytes), (share) =>
          file.write(bytes.subarray(0, Math.floor(bytes.length * share)))
        ),
      truncate: (size) => change("truncate", file.path, file.truncate(size)),
      sync: change("sync", file.path, file.sync)
    })
    return {
      open: (path, mode) =>
        Effect.map(mode === "read" ? disk.open(path, mode) : change(mode, path, disk.open(path, mode)), faulty),
      list: disk.list,
      makeDirectory: (path) => change("make directory", path, disk.makeDirectory(path)),
      rename: (from, to) => change("rename to", to, disk.rename(from, to)),
      remove: (path) => change("remove", path, disk.remove(path)),
      syncDirectory: (path) => change("sync directory", path, disk.syncDirectory(path)),
      lock: disk.lock
    }
  }

  #changeFaulty(
    what: Exclude<DiskFault, { readonly _tag: "Slow" }>,
    path: string,
    part: (share: number) => Effect.Effect<void, StorageError>
  ): Effect.Effect<never, StorageError> {
    const fails = Effect.suspend(() => Effect.fail(new StorageError({ path, reason: "the simulated disk refuses" })))
    if (what._tag === "Fail") return Effect.andThen(part(what.arrives), fails)
    if (what._tag !== "Torn") return this.#die(what)
    return Effect.andThen(
      part(what.arrives),
      Effect.suspend(() => this.#die({ _tag: "Kill" }))
    )
  }
}

/** What a file is about: changes of the disk by their purpose. */
const kindOf = (path: string): string => {
  if (path.includes("/ledger")) return "ledger"
  if (path.includes("/checkpoints")) return "checkpoints"
  return path.endsWith(".jsonl") ? "rows" : "manifest"
}

/** Below the run, without the random names of what is not there yet. */
const shortPath = (path: string): string =>
  path
    .replace(/^.*?\/run(?=\/|$)/, "")
    .replaceAll(/\.([^/]+?)\.(partial|removed)-[0-9a-f-]{36}/g, "$1 ($2)")
    .replace(/^$/, basename(path))

/** Who is asked what, with the numbers that tell one message from another. */
const showDelivery = ({ actor, payload }: Delivery): string => {
  const given = (payload ?? {}) as Readonly<Record<string, unknown>> // whatever it is, it is only looked at
  const parts = Object.entries(given).flatMap(([name, value]) => {
    if (typeof value === "number") return [`${name} ${value}`]
    if (Array.isArray(value)) return [`${value.length} ${name}`]
    if (typeof value !== "object" || value === null) return []
    if ("index" in value) return [`unit ${String(value.index)}`]
    return "updates" in value ? [`${name} of ${String(value.updates)} updates`] : []
  })
  return [actor, ...parts].join(", ")
}

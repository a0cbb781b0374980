import type { Backend } from "@foretoken/core"
import * as Effect from "effect/Effect"

type Service = (typeof Backend)["Service"]

/** What time goes to on a backend. Programs that train are told from the others by the name they were compiled under. */
type Kind = "compile" | "train" | "run" | "apply" | "read" | "write"

/** Seconds by what they went to. */
export type Spent = Readonly<Record<Kind, number>>

export interface Meter {
  /** The backend and the threads it starts, watched. */
  readonly backend: Service
  /** Since the last time that this was asked. */
  readonly take: () => Spent
}

/** A backend whose calls are timed, so that a step can be taken apart without a change to what runs it. */
export const makeMeter = (backend: Service): Meter => {
  const watches = {
    compile: new Watch(),
    train: new Watch(),
    run: new Watch(),
    apply: new Watch(),
    read: new Watch(),
    write: new Watch()
  }
  const timed = <A, E, R>(kind: Kind, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      watches[kind].start()
      return Effect.ensuring(
        effect,
        Effect.sync(() => watches[kind].stop())
      )
    })
  const watched = (service: Service): Service => ({
    ...service,
    compile: (graph, options) => {
      const kind = options.name.startsWith("train ") ? "train" : "run"
      const program = Effect.map(service.compile(graph, options), ({ run }) => ({
        run: (inputs: Parameters<typeof run>[0]) => timed(kind, run(inputs))
      }))
      return timed("compile", program)
    },
    apply: (routine) => timed("apply", service.apply(routine)),
    read: (buffer, into) => timed("read", service.read(buffer, into)),
    upload: (value) => timed("write", service.upload(value)),
    write: (buffer, value) => timed("write", service.write(buffer, value)),
    thread: (options) =>
      Effect.map(service.thread(options), (thread) => ({ ...thread, backend: watched(thread.backend) }))
  })
  const { compile, train, run, apply, read, write } = watches
  return {
    backend: watched(backend),
    take: () => ({
      compile: compile.take(),
      train: train.take(),
      run: run.take(),
      apply: apply.take(),
      read: read.take(),
      write: write.take()
    })
  }
}

/** Time during which at least one call was under way: calls to a thread overlap. */
class Watch {
  #running = 0
  #since = 0
  #seconds = 0

  start(): void {
    if (this.#running++ === 0) this.#since = performance.now()
  }

  stop(): void {
    if (--this.#running === 0) this.#seconds += (performance.now() - this.#since) / 1000
  }

  take(): number {
    const taken = this.#seconds
    this.#seconds = 0
    return taken
  }
}

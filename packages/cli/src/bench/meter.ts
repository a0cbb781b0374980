import type { Backend } from "@foretoken/core"
import * as Effect from "effect/Effect"

type Service = (typeof Backend)["Service"]

/** What time goes to on a backend. Programs that train are told from the others by the name they were compiled under. */
const kinds = ["compile", "train", "run", "apply", "read", "write"] as const
export type Spent = Readonly<Record<(typeof kinds)[number], number>>

export interface Meter {
  /** The backend and the threads it starts, watched. */
  readonly backend: Service
  /** Seconds since the last time that this was asked. */
  readonly take: () => Spent
}

/** A backend whose calls are timed, so that a step can be taken apart without a change to what runs it. */
export const makeMeter = (backend: Service): Meter => {
  const nothing = (): Record<(typeof kinds)[number], number> => ({
    compile: 0,
    train: 0,
    run: 0,
    apply: 0,
    read: 0,
    write: 0
  })
  let spent = nothing()
  const timed = <A, E, R>(kind: (typeof kinds)[number], effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const began = performance.now()
      return Effect.ensuring(
        effect,
        Effect.sync(() => (spent[kind] += (performance.now() - began) / 1000))
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
    read: (buffer) => timed("read", service.read(buffer)),
    upload: (value) => timed("write", service.upload(value)),
    write: (buffer, value) => timed("write", service.write(buffer, value)),
    thread: (options) =>
      Effect.map(service.thread(options), (thread) => ({ ...thread, backend: watched(thread.backend) }))
  })
  return {
    backend: watched(backend),
    take: () => {
      const taken = spent
      spent = nothing()
      return taken
    }
  }
}

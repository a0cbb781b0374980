/** What goes wrong in a simulated run, as plain data: generated, shrunk, printed, and played again. */
import * as fc from "fast-check"

/** What becomes of the n-th message that actors of a process are to handle. */
export type MessageFault =
  /** The actor crashes: before it has begun, in the middle, or once all is done and only the reply is missing. */
  | { readonly _tag: "Crash"; readonly when: "before" | "during" | "after" }
  /** It takes so many milliseconds longer. */
  | { readonly _tag: "Stall"; readonly millis: number }
  /** It arrives twice: every message of a run may be repeated. */
  | { readonly _tag: "Twice" }
  /** Ctrl-C. */
  | { readonly _tag: "Stop" }
  | Death

/** What becomes of the n-th call that changes the disk. */
export type DiskFault =
  /** It fails; of a write this share arrives. */
  | { readonly _tag: "Fail"; readonly arrives: number }
  /** It, and the 20 after it, take so many milliseconds. */
  | { readonly _tag: "Slow"; readonly millis: number }
  /** This share of a write arrives, then the process dies. */
  | { readonly _tag: "Torn"; readonly arrives: number }
  | Death

/** What becomes of the n-th building of an actor's state. */
export type ActorFault =
  /** Its backend refuses. */
  | { readonly _tag: "Refuse" }
  /** It crashes, as when its thread ends: before anything is built, or once all is and nobody was told. */
  | { readonly _tag: "Crash"; readonly when: "before" | "after" }
  | { readonly _tag: "Stall"; readonly millis: number }
  | Death

/** The end of the process; with the power goes what was not synced, all but this share of each file. */
export type Death = { readonly _tag: "Kill" } | { readonly _tag: "PowerLoss"; readonly keeps: number }

/**
 * A fault by where it strikes: at the n-th of its kind, counting from 0, in each life of the run anew. Kinds of messages are
 * their requests ("Publish"), of changes of the disk what they are about ("ledger"), of makings the actor ("sampler").
 */
export type Fault = { readonly kind: string; readonly nth: number } & (
  | { readonly place: "message"; readonly what: MessageFault }
  | { readonly place: "disk"; readonly what: DiskFault }
  | { readonly place: "actor"; readonly what: ActorFault }
)

export interface Plan {
  readonly samplers: number
  readonly lag: number
  readonly checkpointEvery: number
  /** 0: what can run, runs in the order of its coming. Any other number is another order. */
  readonly order: number
  /** Of each life in turn: a life that does not end the run is followed by another, which goes on with it. */
  readonly lives: ReadonlyArray<ReadonlyArray<Fault>>
}

/** Nothing goes wrong, and what comes first is served first. */
export const undisturbed = (lag: number): Plan => ({ samplers: 1, lag, checkpointEvery: 1, order: 0, lives: [] })

/** How many there are of each kind in an undisturbed life, so that faults hit something. */
export type Extent = Readonly<Record<Fault["place"], ReadonlyMap<string, number>>>

const share = fc.constantFrom(0, 0.25, 0.5, 0.75, 1)
const death: fc.Arbitrary<Death> = fc.oneof(
  fc.constant({ _tag: "Kill" as const }),
  fc.record({ _tag: fc.constant("PowerLoss" as const), keeps: share })
)
const stall = fc.record({ _tag: fc.constant("Stall" as const), millis: fc.constantFrom(10, 100, 1000, 600_000) })

const when = fc.constantFrom("before" as const, "during" as const, "after" as const)
const messageFault: fc.Arbitrary<MessageFault> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Crash" as const), when }) },
  stall,
  fc.constant({ _tag: "Twice" as const }),
  fc.constant({ _tag: "Stop" as const }),
  death
)
const diskFault: fc.Arbitrary<DiskFault> = fc.oneof(
  fc.record({ _tag: fc.constant("Fail" as const), arrives: share }),
  fc.record({ _tag: fc.constant("Slow" as const), millis: fc.constantFrom(1, 30, 500) }),
  fc.record({ _tag: fc.constant("Torn" as const), arrives: share }),
  death
)
const actorFault: fc.Arbitrary<ActorFault> = fc.oneof(
  fc.constant({ _tag: "Refuse" as const }),
  fc.record({ _tag: fc.constant("Crash" as const), when: fc.constantFrom("before" as const, "after" as const) }),
  stall,
  death
)

const faults = (extent: Extent): fc.Arbitrary<Fault> => {
  /** Every kind as often as any other, however few there are of it. */
  const at = <P extends Fault["place"], W>(place: P, what: fc.Arbitrary<W>) =>
    fc.oneof(
      ...Array.from(extent[place], ([kind, count]) =>
        fc.record({ place: fc.constant(place), kind: fc.constant(kind), nth: fc.nat(Math.ceil(count * 1.2)), what })
      )
    )
  return fc.oneof(
    { weight: 4, arbitrary: at("message", messageFault) },
    { weight: 4, arbitrary: at("disk", diskFault) },
    { weight: 1, arbitrary: at("actor", actorFault) }
  )
}

export const plans = (extent: Extent, lags: ReadonlyArray<number>): fc.Arbitrary<Plan> =>
  fc.record({
    samplers: fc.integer({ min: 1, max: 3 }),
    lag: fc.constantFrom(...lags),
    checkpointEvery: fc.constantFrom(1, 2),
    order: fc.oneof(fc.constant(0), fc.nat(99_999)),
    lives: fc.array(fc.array(faults(extent), { maxLength: 3 }), { maxLength: 3 })
  })

/** A fault that had an effect, and on what. */
export interface Hit {
  readonly fault: Fault
  /** For example "sampler-1, unit 4". */
  readonly on: string
}

/** The terms of a plan in a line. */
export const showTerms = ({ samplers, lag, checkpointEvery, order }: Plan): string =>
  [
    `${samplers} ${samplers === 1 ? "sampler" : "samplers"}`,
    `lag ${lag}`,
    `a checkpoint every ${checkpointEvery === 1 ? "step" : `${checkpointEvery} steps`}`,
    order === 0 ? "first come, first served" : `order ${order}`
  ].join(", ")

/** "message Publish 1 (policy-store, optimizer of 2 updates): the actor crashes before it replies" */
export const showHit = ({ fault: { place, kind, nth, what }, on }: Hit): string =>
  `${places[place]} ${kind} ${nth} (${on}): ${showWhat(what)}`

const places = { message: "message", disk: "change of", actor: "making of" } as const

const percent = (share: number): string => `${100 * share} %`

const showWhat = (what: Fault["what"]): string => {
  switch (what._tag) {
    case "Crash":
      return `the actor crashes ${{ before: "before it begins", during: "in the middle", after: "before it replies" }[what.when]}`
    case "Stall":
      return `takes ${what.millis} ms longer`
    case "Slow":
      return `it and the 20 after it take ${what.millis} ms`
    case "Twice":
      return "arrives twice"
    case "Stop":
      return "the run is interrupted"
    case "Refuse":
      return "its backend refuses"
    case "Fail":
      return `fails; of a write ${percent(what.arrives)} arrive`
    case "Torn":
      return `${percent(what.arrives)} of a write arrive, and the process dies`
    case "Kill":
      return "the process dies"
    case "PowerLoss":
      return `power is lost; of what is not synced ${percent(what.keeps)} survive`
  }
}

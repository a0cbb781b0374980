/**
 * Runs of the real pipeline in a world in small, under every schedule and every fault that a seed comes up with: actors crash,
 * stall and restart, messages arrive twice or their replies get lost, disks are slow, refuse and tear, processes die and power
 * fails, also while a run is being resumed. Whatever happens, each run has to come to the undisturbed one's weights, bit for bit.
 */
import { Effect } from "effect"
import * as fc from "fast-check"
import * as Pipeline from "../../pipeline/Pipeline.ts"
import type { PipelineOptions } from "../../pipeline/Pipeline.ts"
import * as ReplayBuffer from "../../pipeline/ReplayBuffer.ts"
import type { DiskService } from "../../storage/Disk.ts"
import { law } from "../Law.ts"
import type { Law, LawSettings } from "../Law.ts"
import type { Happening } from "./Life.ts"
import { stages, uneven } from "./modelled.ts"
import { plans, showHit, showTerms, undisturbed } from "./Plan.ts"
import type { Plan } from "./Plan.ts"
import { reference, simulated } from "./World.ts"
import type { LifeReport, Outcome, Reference, Setting } from "./World.ts"

/** Parts of a pipeline that stand in the place of the modelled ones. */
export type SimulatedParts = Partial<Omit<PipelineOptions, "policy" | "problems" | "template" | "lag">>

export interface SimulationSettings extends LawSettings {
  /** Lags that runs are simulated at; default 0, 1 and 2. */
  readonly lags?: ReadonlyArray<number>
  /** Steps of a run, default 3. */
  readonly steps?: number
  /** A disk of your own over the simulated one. */
  readonly disk?: (disk: DiskService) => DiskService
}

/** What the schedules of a simulation were made of. */
export interface SimulationCounts {
  readonly schedules: number
  /** Processes, by how they ended. */
  readonly lives: Readonly<Record<LifeReport["ended"], number>>
  /** Those that went on with a run that another had begun. */
  readonly resumes: number
  readonly messages: number
  /** Virtual milliseconds, all processes together. */
  readonly millis: number
  /** Faults that were planned. */
  readonly planned: number
  /** Faults that had an effect, by what they are, for example "message Crash after". */
  readonly hits: Readonly<Record<string, number>>
}

/** A law that counts what it has seen: a simulation in which nothing went wrong shows nothing. */
export interface Simulation extends Law {
  readonly counts: () => SimulationCounts
}

/**
 * The law that runs survive what the world does to them, with some parts replaced by your own: a stage that speaks a protocol
 * of the pipeline. `parts` is called for each simulated process, since nothing in memory survives one. Time is virtual and a
 * schedule takes some 15 ms; counterexamples are shrunk and shown with the events that led there.
 *
 * What is checked: each run comes to rest, and to its end once nothing goes wrong any more; nothing that was put into the
 * buffer is lost or taken twice or too old; versions are monotone; policies, rollouts, metrics, samples and final weights are
 * the undisturbed run's; what was built on an update is not lost with the power; and `audit` finds nothing in the ledger.
 *
 * @example
 * const { name, check } = simulate(() => ({ buffer: myBuffer }))
 * test(name, check)
 */
export const simulate = (
  parts: () => SimulatedParts = () => ({}),
  { lags = [0, 1, 2], steps = 3, runs = 200, disk = (own) => own, ...settings }: SimulationSettings = {}
): Simulation => {
  const counter = makeCounter()
  const references = new Map<number, Reference>()
  const settingOf = (lag: number): Setting => ({
    pipeline: () =>
      Pipeline.make({
        ...stages(uneven),
        buffer: ReplayBuffer.make(),
        ...parts(),
        lag,
        batch: { documentsPerStep: 2, documentsPerUnit: 1, shuffleBuffer: 4, ...parts().batch }
      }),
    disk,
    lag,
    steps,
    seed: 7
  })
  const referenceOf = (lag: number) => {
    const known = references.get(lag) ?? reference(settingOf(lag))
    references.set(lag, known)
    return known
  }
  const play = (plan: Plan) => simulated(settingOf(plan.lag), plan, referenceOf(plan.lag))
  const name = "a run comes to the same weights and loses nothing, whatever the schedule and whatever fails"
  return {
    name,
    counts: counter.counts,
    check: () => {
      // One that is wrong undisturbed needs no faults to be found out.
      const { broken, lives } = referenceOf(Math.max(...lags)).outcome
      const cases = broken === undefined ? plans(lives[0].extent, lags) : fc.constant(undisturbed(Math.max(...lags)))
      const property = (plan: Plan) =>
        Effect.sync(() => {
          const outcome = play(plan)
          counter.count(plan, outcome)
          return outcome.broken
        })
      return law(name, cases, property, {
        ...settings,
        runs,
        show: (plan) => shown(plan, play(plan))
      }).check()
    }
  }
}

/** Events of each life that are shown. */
const linesShown = 24

const shown = (plan: Plan, { lives }: Outcome): string =>
  [
    showTerms(plan),
    ...lives.flatMap(({ hits }, life) => hits.map((hit) => `life ${life + 1}, ${showHit(hit)}`)),
    ...lives.flatMap(({ trace, ended, reason }, life) => {
      const lines = condensed(trace)
      return [
        "",
        `life ${life + 1}${lines.length > linesShown ? ", its last events" : ""}`,
        ...lines.slice(-linesShown),
        `it ${ended === "failed" ? `failed: ${reason}` : endings[ended]}`
      ]
    })
  ].join("\n")

/** The many changes that make one checkpoint in one line: the last of them. */
const condensed = (trace: ReadonlyArray<Happening>): ReadonlyArray<string> =>
  trace
    .filter(({ kind }, i) => kind !== "checkpoints" || trace[i + 1]?.kind !== "checkpoints")
    .map(({ line }) => line())

const endings = {
  done: "was done",
  stopped: "was stopped",
  died: "died",
  stuck: "came to no end",
  failed: "failed",
  ended: "was ended here"
} as const

const makeCounter = () => {
  const lives = { done: 0, failed: 0, stopped: 0, died: 0, stuck: 0, ended: 0 }
  const hits: Record<string, number> = {}
  const sums = { schedules: 0, resumes: 0, messages: 0, millis: 0, planned: 0 }
  const countLife = ({ ended, resumed, messages, millis, hits: own }: LifeReport) => {
    lives[ended]++
    sums.resumes += resumed ? 1 : 0
    sums.messages += messages
    sums.millis += millis
    for (const { fault } of own) {
      const { what } = fault
      const kind = `${fault.place} ${what._tag}${what._tag === "Crash" ? ` ${what.when}` : ""}`
      hits[kind] = (hits[kind] ?? 0) + 1
    }
  }
  return {
    count: (plan: Plan, outcome: Outcome) => {
      sums.schedules++
      sums.planned += plan.lives.flat().length
      outcome.lives.forEach(countLife)
    },
    counts: (): SimulationCounts => ({ ...sums, lives: { ...lives }, hits: { ...hits } })
  }
}

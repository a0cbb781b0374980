/** One simulated run: lives of the real pipeline on one disk, until it is done, and what is wrong with it. */
import { join } from "node:path"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Transport } from "../../actor/Transport.ts"
import * as Pipeline from "../../pipeline/Pipeline.ts"
import type { Pipeline as PipelineData, PipelineError, RunResult } from "../../pipeline/Pipeline.ts"
import { WatchTimerLag } from "../../pipeline/timerLag.ts"
import { audit, live, readLedger } from "../../run/Ledger.ts"
import type { LedgerRecord } from "../../run/Ledger.ts"
import { readMetrics } from "../../run/Metrics.ts"
import { Disk } from "../../storage/Disk.ts"
import type { DiskService } from "../../storage/Disk.ts"
import { Backend } from "../../tensor/Backend.ts"
import { makeMemoryDisk } from "../memoryDisk.ts"
import type { MemoryDisk } from "../memoryDisk.ts"
import type { Ending } from "./Conductor.ts"
import { Life } from "./Life.ts"
import type { Happening } from "./Life.ts"
import { backend } from "./modelled.ts"
import { undisturbed } from "./Plan.ts"
import type { Extent, Fault, Hit, Plan } from "./Plan.ts"
import { nothingMade, Witness } from "./Witness.ts"
import type { Made } from "./Witness.ts"

/** What is simulated, beside what goes wrong. */
export interface Setting {
  /** Of each process anew. */
  readonly pipeline: () => PipelineData
  readonly disk: (disk: DiskService) => DiskService
  readonly lag: number
  readonly steps: number
  readonly seed: number
}

/** How it went. */
export interface Outcome {
  readonly lives: ReadonlyArray<LifeReport>
  /** In a sentence. */
  readonly broken: string | undefined
  readonly steps: number
  readonly updates: number
  readonly hash: string
  /** Lines of metrics.jsonl and samples.jsonl, without what depends on time. */
  readonly files: string
}

export interface LifeReport {
  /** `ended`: by the simulation, which has found something wrong. */
  readonly ended: "done" | "failed" | "stopped" | "died" | "stuck" | "ended"
  /** It went on with a run that another process had begun. */
  readonly resumed: boolean
  /** Why it failed. */
  readonly reason: string
  readonly hits: ReadonlyArray<Hit>
  readonly messages: number
  /** Virtual milliseconds. */
  readonly millis: number
  readonly extent: Extent
  readonly trace: ReadonlyArray<Happening>
}

/** What an undisturbed run came to: what any other has to come to. */
export interface Reference {
  readonly made: Made
  readonly outcome: Outcome
}

const directory = "/run"
/** Milliseconds that a message may take: a hundred times what any does. */
const timeLimit = 5000
const noTimerLag = Effect.succeed({ largest: Effect.succeed(0) })

/** The run without faults, first come, first served. */
export const reference = (setting: Setting): Reference => {
  const made = nothingMade()
  return { made, outcome: play(setting, undisturbed(setting.lag), made, undefined) }
}

/** Plays a plan against what the undisturbed run came to. */
export const simulated = (setting: Setting, plan: Plan, { made, outcome }: Reference): Outcome =>
  outcome.broken === undefined ? play(setting, plan, made, outcome) : outcome

const play = (setting: Setting, plan: Plan, made: Made, expected: Outcome | undefined): Outcome => {
  const memory = makeMemoryDisk()
  const witness = new Witness(made, expected === undefined, setting.lag)
  const lives: Array<LifeReport> = []
  let diverged = false
  // Faults that come with the first lives; one more life without any has to be enough.
  while (lives.length <= plan.lives.length) {
    const faults = plan.lives[lives.length] ?? []
    const life = new Life(plan.order === 0 ? 0 : plan.order + 7919 * lives.length, faults, memory, witness)
    witness.beginLife(() => diverged || mayDiverge(life))
    const resumed = memory.files().has(join(directory, "manifest.json"))
    const said: Array<string> = []
    const ending = life.conductor.run(livingRun(setting, plan, life, resumed, said))
    const report = reportOf(life, ending, resumed)
    lives.push(report)
    const broken =
      life.broken ??
      brokenEnding(life, ending, report) ??
      said.find((line) => line.includes("passed over")) ??
      brokenLedger(memory, witness, report)
    if (broken !== undefined) return { lives, broken, ...nothing }
    diverged = recordsOf(memory).some(({ _tag }) => _tag === "aside")
    if (ending._tag === "Exit" && Exit.isSuccess(ending.exit)) {
      return finished(setting, memory, lives, ending.exit.value, diverged ? undefined : expected)
    }
  }
  const { reason, ended } = lives[lives.length - 1]
  const broken = `a life without faults does not bring the run to its end: it ${ended} ${reason}`
  return { lives, broken, ...nothing }
}

const nothing = { steps: 0, updates: 0, hash: "", files: "" }

const livingRun = (
  { pipeline, disk, steps, seed }: Setting,
  { samplers, checkpointEvery }: Plan,
  life: Life,
  resumed: boolean,
  said: Array<string>
): Effect.Effect<RunResult, PipelineError> => {
  const say = (line: string) => Effect.sync(() => void said.push(line))
  const run = resumed
    ? Pipeline.resume(pipeline(), { run: directory, samplers, timeLimit, say })
    : Pipeline.run(pipeline(), { run: directory, steps, seed, samplers, checkpointEvery, timeLimit })
  return run.pipe(
    Effect.provideService(Backend, backend),
    Effect.provideService(Disk, disk(life.disk())),
    Effect.provideService(Transport, life.transport),
    Effect.provideService(WatchTimerLag, noTimerLag)
  )
}

const sumOf = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((sum, n) => sum + n, 0)

const reportOf = (life: Life, ending: Ending<RunResult, PipelineError>, resumed: boolean): LifeReport => {
  const { hits, trace, counts, conductor } = life
  const common = { resumed, hits, trace, messages: sumOf(counts.message), extent: counts, millis: conductor.now }
  if (life.broken !== undefined) return { ...common, ended: "ended", reason: "" }
  if (ending._tag === "Dead") return { ...common, ended: "died", reason: "" }
  if (ending._tag !== "Exit") return { ...common, ended: "stuck", reason: ending._tag }
  if (Exit.isSuccess(ending.exit)) return { ...common, ended: "done", reason: "" }
  if (Cause.hasInterruptsOnly(ending.exit.cause)) return { ...common, ended: "stopped", reason: "" }
  return { ...common, ended: "failed", reason: String(Cause.squash(ending.exit.cause)) }
}

/** Every life comes to rest: done, dead, stopped by someone, or failed with a typed cause. */
const brokenEnding = (life: Life, ending: Ending<RunResult, PipelineError>, report: LifeReport): string | undefined => {
  if (ending._tag === "Stuck")
    return "nothing can run and no timer is set, but the run has not ended: somebody waits forever"
  if (ending._tag === "Endless") return "the run does not come to rest"
  if (ending._tag !== "Exit" || Exit.isSuccess(ending.exit)) return undefined
  const { cause } = ending.exit
  if (Cause.hasDies(cause)) return `the run dies of a defect: ${Cause.pretty(cause)}`
  if (Cause.hasInterrupts(cause) && !life.stopped) return "the run is interrupted, and nobody has interrupted it"
  return isSurvivable(life) ? `the run fails over what it should survive: ${report.reason}` : undefined
}

/** Whoever crashes or is stuck, also while it is made, is restarted and asked once more; the rest is a matter of patience. */
const isSurvivable = ({ hits }: Life): boolean => {
  const crashed = hits.filter(({ fault: { what } }) => isCrash(what))
  const harmless = hits.filter(({ fault: { what } }) => !isCrash(what) && patience.has(what._tag))
  return crashed.length <= 1 && crashed.length + harmless.length === hits.length
}

const isCrash = (what: Fault["what"]): boolean =>
  what._tag === "Crash" || (what._tag === "Stall" && what.millis >= timeLimit)

const patience: ReadonlySet<string> = new Set(["Stall", "Slow", "Twice"])

/** What has crashed its actor twice is set aside, by design. */
const mayDiverge = ({ hits }: Life): boolean =>
  hits.filter(({ fault: { kind, what } }) => (kind === "Sample" || kind === "Verify") && isCrash(what)).length > 1

/** What the disk holds of the ledger, as whoever goes on with the run would find it. */
const recordsOf = (memory: MemoryDisk): ReadonlyArray<LedgerRecord> =>
  Effect.runSync(
    readLedger(join(directory, "ledger")).pipe(
      Effect.map(({ records }) => records),
      Effect.orElseSucceed((): ReadonlyArray<LedgerRecord> => []),
      Effect.provideService(Disk, memory.boot())
    )
  )

const brokenLedger = (memory: MemoryDisk, { reliedOn }: Witness, { hits }: LifeReport): string | undefined => {
  const records = recordsOf(memory)
  const begun = records.find(({ _tag }) => _tag === "begun")
  if (begun?._tag === "begun") {
    const known = new Set<string>(records.flatMap((record) => (record._tag === "update" ? [record.to] : [])))
    const lost = [...reliedOn].some((version) => version !== begun.policy && !known.has(version))
    if (lost && hits.some(({ fault }) => fault.what._tag === "PowerLoss")) {
      return "power is lost, and with it the record of an update whose policy a sampler was given already"
    }
    const { lost: missing, violations } = audit(live(records))
    if (missing > 0) return `the records of ${missing} steps are lost, and a checkpoint knows of them`
    const [violation] = violations
    if (violation !== undefined) return `the ledger says: ${violation.message} (${violation.rule})`
  }
  return undefined
}

const finished = (
  { steps }: Setting,
  memory: MemoryDisk,
  lives: ReadonlyArray<LifeReport>,
  result: RunResult,
  expected: Outcome | undefined
): Outcome => {
  const files = filesOf(memory)
  const { updates, unfinished } = audit(live(recordsOf(memory)))
  const outcome = { lives, steps: result.steps, updates, hash: result.weightsHash, files }
  const last = expected?.steps ?? (result.ended._tag === "Done" ? steps : result.steps)
  const wrong = [
    result.steps === last ? undefined : `the run ends after ${result.steps} of ${last} steps`,
    expected === undefined || updates === expected.updates
      ? undefined
      : `${updates} updates are recorded instead of ${expected.updates}`,
    result.ended._tag === "Done" && unfinished > 0 ? `${unfinished} problems were asked and never consumed` : undefined,
    expected === undefined || expected.hash === result.weightsHash
      ? undefined
      : "the weights are not those of the undisturbed run",
    expected === undefined ? undefined : firstDifferent(expected.files, files)
  ]
  return { ...outcome, broken: wrong.find((finding) => finding !== undefined) }
}

const firstDifferent = (expected: string, actual: string): string | undefined => {
  if (expected === actual) return undefined
  const [was, is] = [expected.split("\n"), actual.split("\n")]
  const at = was.findIndex((line, i) => line !== is[i])
  return `metrics and samples are not those of the undisturbed run: line ${at + 1} is ${is[at]?.slice(0, 120)} instead of ${was[at]?.slice(0, 120)}`
}

const filesOf = (memory: MemoryDisk): string => {
  const rows = Effect.runSync(
    readMetrics(join(directory, "metrics.jsonl")).pipe(Effect.provideService(Disk, memory.boot()), Effect.option)
  )
  const timeless = Option.getOrElse(rows, () => []).map(({ step, values }) =>
    JSON.stringify([
      step,
      Object.entries(values).filter(([name]) => !/^(seconds|timer_lag|steps\/waiting|actors)/.test(name))
    ])
  )
  const samples = memory.files().get(join(directory, "samples.jsonl"))
  return [...timeless, new TextDecoder().decode(samples)].join("\n")
}

import { Effect, Option, Schema, Stream } from "effect"
import type { Duration } from "effect"
import { best, latestGood, listCheckpoints, setDamagedAside } from "../run/Checkpoint.ts"
import type { Checkpoint } from "../run/Checkpoint.ts"
import type { LedgerRecord, RecordOf } from "../run/Ledger.ts"
import { ledgerRecords, openLedger } from "../run/Ledger.ts"
import { readMetrics } from "../run/Metrics.ts"
import { prune } from "../run/Retention.ts"
import {
  RunError,
  checkpointsDirectory,
  holdRun,
  ledgerDirectory,
  manifestHash,
  metricsPath,
  openRun
} from "../run/Run.ts"
import type { Run } from "../run/Run.ts"
import { sweep } from "../storage/atomic.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { checkRun } from "./checkRun.ts"
import { goesOnAs } from "./goesOnAs.ts"
import { manifestOf } from "./manifestOf.ts"
import type { Pipeline } from "./Pipeline.ts"
import type { SetAside } from "./poison.ts"
import { loadTrained } from "./policySource.ts"
import { policyOf } from "./Progress.ts"
import { settingsOfStored, StoredSettings } from "./RunSettings.ts"
import type { RunResult, StepReport } from "./runPipeline.ts"
import { progressOf } from "./savedProgress.ts"
import { beginningRecord, bringToLife, firstPoint, openFiles } from "./startRun.ts"
import type { Running, StartingPoint } from "./startRun.ts"

export interface ResumeOptions {
  /** The directory of a run that was begun. */
  readonly run: string
  /** Default: as many as the run had. */
  readonly samplers?: number
  /** As in `RunOptions`. */
  readonly timeLimit?: Duration.Input
  /**
   * Goes on under another backend, version, processor or number of cores, too. What is computed there need not be the same to the
   * last bit, so the weights that the run comes to need not be those of an undisturbed one. The ledger says so.
   */
  readonly elsewhere?: boolean
  /** Called with a line for each thing that was found damaged and how it was dealt with. */
  readonly say?: (line: string) => Effect.Effect<void>
  /** Called after every step, to show how the run goes. */
  readonly onStep?: (report: StepReport) => Effect.Effect<void>
}

/** A run that can go on, or had ended. */
type Opened =
  | { readonly _tag: "Running"; readonly running: Running }
  | { readonly _tag: "Ended"; readonly result: RunResult }

/**
 * Goes back to the last durable point of a run: the newest checkpoint that is whole, or the beginning. The ledger knows of it, unless it
 * was damaged: then it goes on behind what it has lost, because a checkpoint has all that a run goes on from. What was sampled and
 * learned after it is not replayed from the ledger but made again: it comes out the same, and `resumed` makes the records of it void.
 */
export const openResumed = Effect.fnUntraced(function* (pipeline: Pipeline, options: ResumeOptions) {
  const { say = () => Effect.void } = options
  const run = yield* openRun(options.run)
  const refuse = (reason: string) => new RunError({ path: run.directory, reason })
  const settings = yield* storedSettings(run, options.timeLimit)
  yield* Effect.fromResult(checkRun(pipeline, settings))
  const loaded = yield* loadTrained(pipeline.policy, pipeline.optimizer.settings.frozen)
  const first = yield* firstPoint(loaded)
  const [{ version }] = first.recent
  const now = yield* manifestOf(pipeline, settings, loaded, version)
  const differs = yield* Effect.fromResult(goesOnAs(run, now, freeSettings, options.elsewhere === true))

  yield* holdRun(run)
  const ledger = yield* openLedger(ledgerDirectory(run))
  yield* Effect.forEach(ledger.said, say, { discard: true })
  const history = yield* readHistory(ledger.directory)
  if (Option.isSome(history.begun) && history.begun.value.manifest !== manifestHash(run)) {
    return yield* refuse("manifest.json is not the one that the run began with")
  }
  yield* sweep(checkpointsDirectory(run))
  const { found, said } = yield* latestGood(run, Infinity, loaded.stored)
  yield* Effect.forEach(said, say, { discard: true })
  const ended = yield* resultOf(run, history, found)
  if (Option.isSome(ended)) return { _tag: "Ended", result: ended.value } satisfies Opened

  const metrics = yield* lastMetrics(run, Option.match(found, { onNone: () => 0, onSome: ({ step }) => step }))
  const start = Option.isNone(found) ? first : yield* progressOf(found.value, metrics)
  const regained = isKnown(history, start.step) ? undefined : regainedOf(start)
  if (regained !== undefined) yield* say(lostLine(run, history, start))
  const { samplers = settings.samplers } = options
  const parts = yield* bringToLife(pipeline, { ...settings, samplers }, loaded, start)

  // Nothing was changed up to here but what was broken. Checkpoints that are damaged would be in the way of new ones.
  yield* setDamagedAside(run, start.step)
  yield* prune(run, settings.keep)
  if (Option.isNone(history.begun)) yield* ledger.append([beginningRecord(run, pipeline, first)])
  const policy = policyOf(start).version
  const resumed: RecordOf<"resumed"> = { _tag: "resumed", step: start.step, policy }
  const how = { ...(differs.length === 0 ? {} : { differs }), ...(regained === undefined ? {} : { regained }) }
  yield* ledger.append([{ ...resumed, ...how }])
  yield* ledger.sync
  const running = yield* openFiles({
    ...parts,
    run,
    ledger,
    kept: yield* listCheckpoints(run),
    knownPoison: history.aside
  })
  return { _tag: "Running", running } satisfies Opened
})

const storedSettings = ({ directory, manifest }: Run, timeLimit?: Duration.Input) =>
  Schema.decodeUnknownEffect(StoredSettings)(manifest.config).pipe(
    Effect.map((stored) => settingsOfStored(manifest.seed, stored, timeLimit)),
    Effect.mapError(() => {
      const reason = "is no run that can be resumed; one of reinforcement pre-training by this version was expected"
      return new RunError({ path: directory, reason })
    })
  )

/** Settings that never change results: how many sample, and where the same content lies. */
const freeSettings: ReadonlyArray<string> = [
  "samplers",
  "policy.model",
  "policy.config.lora.base",
  "corpus.path",
  "corpus.name"
]

interface History {
  readonly begun: Option.Option<RecordOf<"begun">>
  /** The last step that was learned. */
  readonly step: number
  /** The last word, if it was one. */
  readonly ended: Option.Option<RecordOf<"ended">>
  /** By unit: what some update went without. */
  readonly aside: ReadonlyMap<number, SetAside>
  /** And what some update would have gone without, if it came to it. */
  readonly pending: ReadonlyArray<RecordOf<"aside">>
  /** Steps after one and before another that the ledger has lost. */
  readonly gaps: ReadonlyArray<{ readonly after: number; readonly before: number }>
}

const isKnown = ({ step, gaps }: History, to: number): boolean =>
  to <= step && !gaps.some(({ after, before }) => after < to && to < before)

/** What the records that follow rest on. */
const regainedOf = ({ recent, sampling }: StartingPoint): RecordOf<"resumed">["regained"] => ({
  unit: sampling.problems.unit,
  policies: recent.map(({ version, updates }) => ({ version, updates }))
})

const lostLine = (run: Run, { step }: History, start: StartingPoint): string =>
  `${ledgerDirectory(run)}: nothing whole is left of steps after ${Math.min(step, start.step - 1)}; ` +
  `the checkpoint of step ${start.step} is whole, and the run goes on from there`

/** What a ledger says, record by record: it need not fit in memory. */
const readHistory = (directory: string) =>
  Stream.runFold(
    ledgerRecords(directory),
    (): History => ({ begun: Option.none(), step: 0, ended: Option.none(), aside: new Map(), pending: [], gaps: [] }),
    (history, record: LedgerRecord): History => {
      switch (record._tag) {
        case "begun":
          return { ...history, begun: Option.some(record) }
        case "aside":
          return { ...history, pending: [...history.pending, record] }
        case "update": {
          const own = history.pending.filter(({ step }) => step === record.step)
          const aside = new Map(history.aside)
          for (const { unit, during, cause } of own) aside.set(unit, { during, cause })
          const pending = history.pending.filter(({ step }) => step > record.step)
          return { ...history, step: record.step, aside, pending }
        }
        case "resumed":
          return { ...history, step: record.step, ended: Option.none(), pending: [], gaps: gapsAfter(history, record) }
        case "ended":
          return { ...history, ended: Option.some(record) }
        default:
          return history
      }
    }
  ).pipe(
    // Opening has repaired it, so whatever is wrong now is the disk's doing.
    Effect.catchTag("LedgerFlaw", ({ message }) => new RunError({ path: directory, reason: message }))
  )

/** A gap that the run went back behind the end of is another one, if any. */
const gapsAfter = ({ step, gaps }: History, { step: to, regained }: RecordOf<"resumed">): History["gaps"] => {
  const kept = gaps.filter(({ before }) => before <= to)
  if (regained === undefined) return kept
  const after = gaps.find((gap) => gap.after < to && to < gap.before)?.after ?? step
  return [...kept, { after, before: to }]
}

/** What a run came to that is done, if its last checkpoint is whole. */
const resultOf = Effect.fnUntraced(function* (
  run: Run,
  { ended }: History,
  found: Option.Option<Checkpoint & { readonly directory: string }>
): Effect.fn.Return<Option.Option<RunResult>, StorageError> {
  if (Option.isNone(ended) || Option.isNone(found)) return Option.none()
  const { how, reason, step, policy } = ended.value
  if ((how !== "done" && how !== "no-signal") || found.value.step !== step) return Option.none()
  const entries = yield* listCheckpoints(run)
  const last = entries.find((entry) => entry.step === step)
  if (last === undefined) return Option.none()
  return Option.some({
    run: run.directory,
    steps: step,
    weightsHash: policy,
    ended: how === "done" ? { _tag: "Done" } : { _tag: "NoSignal", reason },
    last,
    best: best(entries) ?? last,
    metrics: yield* lastMetrics(run, step)
  })
})

/** The metrics of a step, as far as the disk has kept them. */
const lastMetrics = (run: Run, step: number) =>
  readMetrics(metricsPath(run)).pipe(
    Effect.map((rows) => rows.findLast((row) => row.step === step)?.values ?? {}),
    Effect.orElseSucceed(() => ({}))
  )

/**
 * Kills a real process and its threads at moments drawn from a seed, lets it go on, and compares what it comes to with what it
 * comes to undisturbed. It counts what it did and what came of it: a soak that killed nothing has shown nothing.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import { uniforms } from "../../packages/core/src/random/draw.ts"
import * as Ledger from "../../packages/core/src/run/Ledger.ts"
import { deathOf, live, unarmed } from "./life.ts"
import type { Draw } from "./life.ts"
import type { Given } from "./program.ts"

export interface SoakOptions {
  readonly seed: number
  /** Of each run. */
  readonly steps: number
  /** Runs are begun in this order until there were enough deaths, and each is brought to its end. */
  readonly shapes: ReadonlyArray<Pick<Given, "lag" | "samplers">>
  /** Deaths that there have to be. */
  readonly processes: number
  readonly workers: number
  /** Milliseconds between the deaths of threads. */
  readonly every: number
}

export interface Soaked {
  runs: number
  /** SIGKILLs that were sent to a process that was there, and processes that ended by one. */
  readonly processes: { sent: number; seen: number }
  /** Threads that were ended, and restarts of actors that processes told of before they died. */
  readonly workers: { sent: number; seen: number }
  /** Of the processes: those that left a checkpoint half-written, that died upon an append to the ledger, and before their first step. */
  readonly during: { checkpoint: number; append: number; start: number }
  /** Times that ledgers say they were gone on with. */
  resumed: number
  /** What is not as in the undisturbed run, a line each. */
  readonly differences: Array<string>
}

/** What a run came to: its weights, the audit of its ledger, and its metrics without what depends on the clock or on deaths. */
interface Outcome {
  readonly weights: string | undefined
  readonly audit: string
  readonly metrics: string
  readonly resumed: number
}

const outcomeOf = async (run: string, weights: string | undefined): Promise<Outcome> => {
  const { records } = await Effect.runPromise(Ledger.readLedger(join(run, "ledger")))
  const rows = readFileSync(join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n")
  const timeless = rows.map((row) =>
    Object.entries(JSON.parse(row)).filter(([name]) => !/^(seconds|timer_lag|steps|actors|buffer)/.test(name))
  )
  return {
    weights,
    audit: JSON.stringify(Ledger.audit(Ledger.live(records))),
    metrics: JSON.stringify(timeless),
    resumed: records.filter(({ _tag }) => _tag === "resumed").length
  }
}

const halfWritten = (run: string): number => {
  const directory = join(run, "checkpoints")
  return existsSync(directory) ? readdirSync(directory).filter((name) => name.includes(".partial-")).length : 0
}

/** Lives that a run may take: more, and it does not get on. */
const mostLives = 200

export const soak = async (options: SoakOptions): Promise<Soaked> => {
  const { processes, seed, shapes, steps, workers, every } = options
  const root = mkdtempSync(join(tmpdir(), "foretoken-soak-"))
  const compiled = join(root, "compiled")
  const soaked: Soaked = {
    runs: 0,
    processes: { sent: 0, seen: 0 },
    workers: { sent: 0, seen: 0 },
    during: { checkpoint: 0, append: 0, start: 0 },
    resumed: 0,
    differences: []
  }
  let draws = 0
  const draw: Draw = (below) => Math.floor(below * uniforms(seed, ["process"], ++draws)[draws - 1])

  const undisturbed = new Map<string, Outcome>()
  const expectedOf = async (shape: SoakOptions["shapes"][number], name: string) => {
    const run = join(root, name)
    const known =
      undisturbed.get(name) ?? (await outcomeOf(run, (await live({ ...shape, steps, run }, compiled, unarmed)).ended))
    undisturbed.set(name, known)
    return known
  }

  /** One life of a run; the weights, if it came to its end. */
  const liveOnce = async (given: Given, log: string, number: number) => {
    const before = halfWritten(given.run)
    let append = 0
    const arm = soaked.processes.seen < processes ? deathOf(given.run, draw, () => void (append = 1)) : unarmed
    const killing = workers > 0 ? { seed: seed + number, log, every } : undefined
    const life = await live(given, compiled, arm, killing)
    soaked.processes.sent += Number(life.sent)
    soaked.workers.seen += life.restarted
    if (life.failed !== undefined) soaked.differences.push(`a life of ${given.run} failed: ${life.failed}`)
    if (life.killed) {
      soaked.processes.seen++
      soaked.during.checkpoint += Number(halfWritten(given.run) > before)
      soaked.during.append += append
      soaked.during.start += Number(life.steps === 0)
    }
    return life.ended
  }

  try {
    do {
      const shape = shapes[soaked.runs % shapes.length]
      const name = `lag-${shape.lag}-samplers-${shape.samplers}`
      const expected = await expectedOf(shape, name)
      const run = join(root, `${soaked.runs}-${name}`)
      const log = `${run}.kills`
      let weights: string | undefined
      for (let lives = 0; weights === undefined && lives < mostLives; lives++) {
        weights = await liveOnce({ ...shape, steps, run }, log, mostLives * soaked.runs + lives)
      }
      soaked.workers.sent += existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n").length : 0
      const actual = await outcomeOf(run, weights)
      soaked.resumed += actual.resumed
      for (const part of ["weights", "audit", "metrics"] as const) {
        if (actual[part] !== expected[part])
          soaked.differences.push(`run ${soaked.runs} (${name}): ${part} ${actual[part]}`)
      }
      soaked.runs++
    } while (soaked.processes.seen < processes || soaked.workers.seen < workers)
    return soaked
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** What is wrong with a soak, a line each: too few deaths, deaths that nobody saw, or a run that was changed by them. */
export const complaints = (
  { processes, workers, resumed, differences }: Soaked,
  wanted: Pick<SoakOptions, "processes" | "workers">
): ReadonlyArray<string> => {
  const found: ReadonlyArray<readonly [boolean, string]> = [
    [processes.seen < Math.max(1, wanted.processes), `only ${processes.seen} processes were killed`],
    [processes.sent !== processes.seen, `${processes.sent} processes were killed, ${processes.seen} died of it`],
    [workers.seen < Math.max(1, wanted.workers), `only ${workers.seen} threads were seen to die`],
    [workers.seen > workers.sent, `${workers.sent} threads were ended, ${workers.seen} actors restarted`],
    [resumed === 0, "no run was gone on with"]
  ]
  return [...found.flatMap(([isWrong, line]) => (isWrong ? [line] : [])), ...differences]
}

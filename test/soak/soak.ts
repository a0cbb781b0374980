/**
 * Kills a real process and its threads at moments drawn from a seed, lets it go on, and compares what it comes to with what it
 * comes to undisturbed. It counts what it did and what came of it: a soak that killed nothing has shown nothing.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { uniforms } from "../../packages/core/src/random/draw.ts"
import { audit, live, readLedger } from "../../packages/core/src/run/Ledger.ts"
import type { Killing } from "./killWorkers.ts"
import type { Given } from "./program.ts"

export interface SoakOptions {
  readonly seed: number
  readonly steps: number
  /** Runs begin in this order until there were enough deaths, and each is brought to its end. */
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
  /** Of the processes: those that left a checkpoint half-written, those that died upon an append to the ledger, and those before their first step. */
  readonly during: { checkpoint: number; append: number; start: number }
  /** Times that a ledger says it was gone on with. */
  resumed: number
  /** What is not as in the undisturbed run, a line each. */
  readonly differences: Array<string>
}

/** What a process said before it ended. */
interface Life {
  readonly killed: boolean
  readonly steps: number
  readonly restarted: number
  readonly ended: string | undefined
  readonly failed: string | undefined
}

type Draw = (below: number) => number

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const start = (given: Given, compiled: string, killing: Killing | undefined) =>
  spawn(
    process.execPath,
    [
      ...(killing === undefined ? [] : ["--import", here("killWorkers.ts")]),
      ...["-C", "@foretoken/source", here("program.ts"), JSON.stringify(given)]
    ],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_COMPILE_CACHE: compiled, SOAK_WORKERS: JSON.stringify(killing) }
    }
  )

/** One process to its end: it is killed when `arm` calls what it is given, or never. */
const live1 = (
  child: ReturnType<typeof start>,
  arm: (kill: () => void, onStep: (f: (step: number) => void) => void) => () => void
): Promise<Life & { readonly sent: boolean }> =>
  new Promise((resolve, reject) => {
    const said = {
      steps: 0,
      restarted: 0,
      ended: undefined as string | undefined,
      failed: undefined as string | undefined
    }
    let sent = false
    let stepped = (_: number): void => undefined
    const disarm = arm(
      () => {
        sent ||= child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")
      },
      (f) => (stepped = f)
    )
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { step, restarted, ended, failed } = JSON.parse(line)
      if (step !== undefined) {
        said.steps++
        said.restarted = restarted
        stepped(said.steps)
      }
      said.ended = ended ?? said.ended
      said.failed = failed ?? said.failed
    })
    child.on("error", reject)
    child.on("close", (_, signal) => {
      disarm()
      resolve({ ...said, sent, killed: signal === "SIGKILL" })
    })
  })

/** The ways to die: some time after the start, after a step, upon a temporary file of a checkpoint, upon an append to the ledger. */
const death =
  (run: string, draw: Draw, append: () => void) => (kill: () => void, onStep: (f: (step: number) => void) => void) => {
    const timers: Array<NodeJS.Timeout> = []
    const later = (ms: number) => void timers.push(setTimeout(kill, ms))
    const upon = (directory: string, is: (name: string) => boolean, nth: number, noted = () => undefined as void) => {
      let count = 0
      const watcher = watch(join(run, directory), (_, name) => {
        if (name === null || !is(name) || ++count !== nth) return
        noted()
        kill()
      })
      return () => watcher.close()
    }
    let close = (): void => undefined
    const way = existsSync(join(run, "ledger")) ? draw(4) : draw(2)
    if (way === 0) later(draw(1200))
    if (way === 1) {
      const nth = 1 + draw(3)
      onStep((step) => step === nth && later(draw(40)))
    }
    if (way === 2) close = upon("checkpoints", (name) => name.includes(".partial-"), 1 + draw(8))
    if (way === 3) close = upon("ledger", (name) => name.endsWith(".ledger"), 1 + draw(30), append)
    return () => {
      close()
      for (const timer of timers) clearTimeout(timer)
    }
  }

const unarmed = () => () => undefined

/** What a run came to: its weights, the audit of its ledger, and its metrics without what depends on the clock or on deaths. */
const comesTo = async (run: string) => {
  const { records } = await Effect.runPromise(readLedger(join(run, "ledger")))
  const rows = readFileSync(join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n")
  const timeless = rows.map((row) =>
    Object.entries(JSON.parse(row)).filter(([name]) => !/^(seconds|timer_lag|steps|actors)/.test(name))
  )
  return {
    audit: JSON.stringify(audit(live(records))),
    metrics: JSON.stringify(timeless),
    resumed: records.filter(({ _tag }) => _tag === "resumed").length
  }
}

const orphans = (run: string): number => {
  const directory = join(run, "checkpoints")
  return existsSync(directory) ? readdirSync(directory).filter((name) => name.includes(".partial-")).length : 0
}

export const soak = async (options: SoakOptions): Promise<Soaked> => {
  const root = mkdtempSync(join(tmpdir(), "foretoken-soak-"))
  const soaked: Soaked = {
    runs: 0,
    processes: { sent: 0, seen: 0 },
    workers: { sent: 0, seen: 0 },
    during: { checkpoint: 0, append: 0, start: 0 },
    resumed: 0,
    differences: []
  }
  try {
    const undisturbed = new Map<string, Awaited<ReturnType<typeof comesTo>> & { readonly hash: string | undefined }>()
    let draws = 0
    const draw: Draw = (below) => Math.floor(below * uniforms(options.seed, ["process"], ++draws)[draws - 1])
    const compiled = join(root, "compiled")
    const enough = () => soaked.processes.seen >= options.processes && soaked.workers.seen >= options.workers
    const kills = options.processes + options.workers > 0
    do {
      const shape = options.shapes[soaked.runs % options.shapes.length]
      const name = `lag-${shape.lag}-samplers-${shape.samplers}`
      const whole = { ...shape, steps: options.steps, run: join(root, name) }
      if (!undisturbed.has(name)) {
        const { ended } = await live1(start(whole, compiled, undefined), unarmed)
        undisturbed.set(name, { ...(await comesTo(whole.run)), hash: ended })
      }
      const given = { ...whole, run: join(root, String(soaked.runs)) }
      const log = join(root, `${soaked.runs}.kills`)
      let hash: string | undefined
      for (let lives = 0; hash === undefined && lives < 200; lives++) {
        const before = orphans(given.run)
        let append = false
        const killing = { seed: options.seed + 1000 * soaked.runs + lives, log, every: options.every }
        const arm =
          kills && soaked.processes.seen < options.processes
            ? death(given.run, draw, () => void (append = true))
            : unarmed
        const life = await live1(start(given, compiled, options.workers > 0 ? killing : undefined), arm)
        soaked.processes.sent += Number(life.sent)
        soaked.processes.seen += Number(life.killed)
        soaked.workers.seen += life.restarted
        soaked.during.checkpoint += Number(life.killed && orphans(given.run) > before)
        soaked.during.append += Number(life.killed && append)
        soaked.during.start += Number(life.killed && life.steps === 0)
        if (life.failed !== undefined) soaked.differences.push(`run ${soaked.runs} (${name}) failed: ${life.failed}`)
        hash = life.ended
      }
      soaked.workers.sent += existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n").length : 0
      const expected = undisturbed.get(name)
      const actual = await comesTo(given.run)
      soaked.resumed += actual.resumed
      if (hash === undefined || hash !== expected?.hash)
        soaked.differences.push(`run ${soaked.runs} (${name}): weights ${hash}`)
      for (const part of ["audit", "metrics"] as const) {
        if (actual[part] !== expected?.[part])
          soaked.differences.push(`run ${soaked.runs} (${name}): ${part} ${actual[part]}`)
      }
      soaked.runs++
    } while (kills && !enough())
    return soaked
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** What is wrong with a soak: too few deaths, deaths that nobody saw, or a run that was changed by them. */
export const complaints = (soaked: Soaked, { processes, workers }: Pick<SoakOptions, "processes" | "workers">) => [
  ...(soaked.processes.seen < Math.max(1, processes) ? [`only ${soaked.processes.seen} processes were killed`] : []),
  ...(soaked.processes.sent !== soaked.processes.seen
    ? [`${soaked.processes.sent} processes were killed and ${soaked.processes.seen} died of it`]
    : []),
  ...(soaked.workers.seen < Math.max(1, workers) ? [`only ${soaked.workers.seen} threads were seen to die`] : []),
  ...(soaked.workers.seen > soaked.workers.sent
    ? [`${soaked.workers.sent} threads were ended and ${soaked.workers.seen} actors restarted`]
    : []),
  ...(soaked.resumed === 0 ? ["no run was gone on with"] : []),
  ...soaked.differences
]

/** One process of the program, from its start to its end or to its death. */
import { spawn } from "node:child_process"
import { existsSync, watch } from "node:fs"
import type { FSWatcher } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { Killing } from "./killWorkers.ts"
import type { Given } from "./program.ts"

export interface Life {
  /** A SIGKILL was sent while it lived; it ended by one. */
  readonly sent: boolean
  readonly killed: boolean
  /** Steps that it told of, and the restarts of its actors up to then. */
  readonly steps: number
  readonly restarted: number
  /** Hash of the weights that it came to. */
  readonly ended: string | undefined
  readonly failed: string | undefined
}

/** Whatever arms a death calls `kill` at its moment; `onStep` hears of every step. Returns how to disarm it. */
export type Arm = (kill: () => void, onStep: (hear: (step: number) => void) => void) => () => void

export const unarmed: Arm = () => () => undefined

/** A number from 0 to `below` - 1. */
export type Draw = (below: number) => number

/**
 * A death some time after the start or after a step, or upon what the disk tells: a checkpoint that is begun under its
 * temporary name, an append to the ledger (`onAppend` hears of that one).
 */
export const deathOf =
  (run: string, draw: Draw, onAppend: () => void): Arm =>
  (kill, onStep) => {
    const timers: Array<NodeJS.Timeout> = []
    const later = (ms: number) => void timers.push(setTimeout(kill, ms))
    const upon = (directory: string, is: (name: string) => boolean, nth: number, hear: () => void) => {
      let count = 0
      return watch(join(run, directory), (_, name) => {
        if (name === null || !is(name) || ++count !== nth) return
        kill()
        hear()
      })
    }
    const afterStep = (nth: number, ms: number) => onStep((step) => step === nth && later(ms))
    const watchers: Array<FSWatcher> = []
    switch (existsSync(join(run, "ledger")) ? draw(4) : draw(2)) {
      case 0:
        later(draw(1200))
        break
      case 1:
        afterStep(1 + draw(3), draw(40))
        break
      case 2:
        watchers.push(
          upon(
            "checkpoints",
            (name) => name.includes(".partial-"),
            1 + draw(8),
            () => undefined
          )
        )
        break
      default:
        watchers.push(upon("ledger", (name) => name.endsWith(".ledger"), 1 + draw(30), onAppend))
    }
    return () => {
      for (const watcher of watchers) watcher.close()
      for (const timer of timers) clearTimeout(timer)
    }
  }

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** Lives it. `compiled` is where Node keeps compiled code from one process to the next; `killing` ends threads on the way. */
export const live = (given: Given, compiled: string, arm: Arm, killing?: Killing): Promise<Life> =>
  new Promise((resolve, reject) => {
    const program = ["-C", "@foretoken/source", here("program.ts"), JSON.stringify(given)]
    const preload = killing === undefined ? [] : ["--import", here("killWorkers.ts")]
    const child = spawn(process.execPath, [...preload, ...program], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_COMPILE_CACHE: compiled, SOAK_WORKERS: JSON.stringify(killing) }
    })
    let life: Life = { sent: false, killed: false, steps: 0, restarted: 0, ended: undefined, failed: undefined }
    let hear: (step: number) => void = () => undefined
    const kill = () => {
      const isAlive = child.exitCode === null && child.signalCode === null
      if (isAlive && !life.sent) life = { ...life, sent: child.kill("SIGKILL") }
    }
    const disarm = arm(kill, (listener) => (hear = listener))
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { step, restarted, ended, failed } = JSON.parse(line)
      if (step === undefined) life = { ...life, ended: ended ?? life.ended, failed: failed ?? life.failed }
      else hear((life = { ...life, steps: life.steps + 1, restarted }).steps)
    })
    child.on("error", reject)
    child.on("close", (_, signal) => {
      disarm()
      resolve({ ...life, killed: signal === "SIGKILL" })
    })
  })

/**
 * Loaded before the program (`--import`): ends one of its worker threads again and again, wherever it is, at moments drawn from
 * a seed. The next one dies when the last one was replaced, and the replacement is spared: what it makes again is not a poison.
 */
import { appendFileSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import threads from "node:worker_threads"
import { uniforms } from "../../packages/core/src/random/draw.ts"

export interface Killing {
  readonly seed: number
  /** A line is appended for every kill. */
  readonly log: string
  /** Milliseconds from one replacement to the next kill, on average. */
  readonly every: number
}

const { seed, log, every }: Killing = JSON.parse(process.env["SOAK_WORKERS"] ?? "{}")
const alive = new Set<threads.Worker>()
let newest: threads.Worker | undefined
let draws = 0
let timer: NodeJS.Timeout | undefined
/** After the first step: a run that is being brought to life ends, typed, when a part of it dies. */
let begun = false

const draw = () => uniforms(seed, ["worker"], ++draws)[draws - 1]

const kill = () => {
  if (!begun) return wait()
  const victims = [...alive].filter((worker) => worker !== newest)
  const victim = victims[Math.floor(draw() * victims.length)]
  if (victim === undefined) return wait()
  appendFileSync(log, `${victim.threadId}\n`)
  void victim.terminate()
  // One that is not missed is not replaced.
  wait(10 * every)
}
const wait = (longer = 0) => {
  clearTimeout(timer)
  timer = setTimeout(kill, longer + 2 * every * draw())
  timer.unref()
}

class Watched extends threads.Worker {
  constructor(...given: ConstructorParameters<typeof threads.Worker>) {
    super(...given)
    alive.add(this)
    newest = this
    this.once("exit", () => alive.delete(this))
    wait()
  }
}
process.once("SIGUSR2", () => (begun = true))
threads.Worker = Watched
syncBuiltinESMExports()

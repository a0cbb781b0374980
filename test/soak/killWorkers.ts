/**
 * Loaded before the program (`--import`): ends its worker threads, wherever they are, at moments drawn from a seed. At most one
 * between two steps, and none that has not been there for two: what a replacement makes again is not a poison.
 */
import { appendFileSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import threads from "node:worker_threads"
import { uniforms } from "../../packages/core/src/random/draw.ts"

export interface Killing {
  readonly seed: number
  /** A line is appended for every kill. */
  readonly log: string
  /** Milliseconds from a step to the next kill, on average. */
  readonly every: number
}

const { seed, log, every }: Killing = JSON.parse(process.env["SOAK_WORKERS"] ?? "{}")
/** With the step that each came in. */
const alive = new Map<threads.Worker, number>()
let steps = 0
let draws = 0
let isDue = false

const draw = () => uniforms(seed, ["worker"], ++draws)[draws - 1]

const kill = () => {
  isDue = false
  const victims = [...alive].filter(([, since]) => steps >= since + 2)
  if (victims.length === 0) return
  const [victim] = victims[Math.floor(draw() * victims.length)]
  appendFileSync(log, `${victim.threadId}\n`)
  void victim.terminate()
}

/** The program says so at every step. */
process.on("SIGUSR2", () => {
  steps++
  if (isDue) return
  isDue = true
  setTimeout(kill, 2 * every * draw()).unref()
})

class Watched extends threads.Worker {
  constructor(...given: ConstructorParameters<typeof threads.Worker>) {
    super(...given)
    this.once("online", () => alive.set(this, steps))
    this.once("exit", () => alive.delete(this))
  }
}
threads.Worker = Watched
syncBuiltinESMExports()

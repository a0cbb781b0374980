import { spawn } from "node:child_process"
import { statSync } from "node:fs"
import { join } from "node:path"
import { entryPoint } from "./foretoken.ts"

interface Ended {
  readonly code: number | null
  /** What it died of. */
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
}

/** A training as a process of its own that has made a step. */
interface Going {
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<Ended>
}

export const underWay = (run: string, flags: string, preload: ReadonlyArray<string> = []) =>
  new Promise<Going>((resolve, reject) => {
    const args = [...preload, ...entryPoint, "train", ...flags.split(" "), "--run", run]
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] })
    let stderr = ""
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
    child.on("error", reject)
    const ended = new Promise<Ended>((end) => child.on("close", (code, signal) => end({ code, signal, stderr })))
    const begun = setInterval(() => {
      const metrics = statSync(join(run, "metrics.jsonl"), { throwIfNoEntry: false })
      if (metrics === undefined || metrics.size === 0) return
      clearInterval(begun)
      resolve({ kill: (signal) => child.kill(signal), ended })
    }, 20)
    void ended.then(({ code }) => {
      clearInterval(begun)
      reject(new Error(`it ended with ${code} before its first step: ${stderr}`))
    })
  })

/**
 * A training that is sent signals once it has made a step. The second one comes again and again until it has ended: on a
 * machine that is busy, two signals may be seen at the same moment, and then they count as one.
 */
export const interrupted = async (
  run: string,
  [first, second]: readonly [NodeJS.Signals, NodeJS.Signals?],
  flags: string,
  preload: ReadonlyArray<string> = []
): Promise<Ended> => {
  const { kill, ended } = await underWay(run, flags, preload)
  kill(first)
  const repeated = second === undefined ? undefined : setInterval(() => kill(second), 200)
  return ended.finally(() => clearInterval(repeated))
}

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

/**
 * A training that is sent signals once it has made a step. The second one comes again and again until it has ended: on a
 * machine that is busy, two signals may be seen at the same moment, and then they count as one.
 */
export const interrupted = (
  run: string,
  [first, second]: readonly [NodeJS.Signals, NodeJS.Signals?],
  flags: string,
  preload: ReadonlyArray<string> = []
) =>
  new Promise<Ended>((resolve, reject) => {
    const args = [...preload, ...entryPoint, "train", ...flags.split(" "), "--run", run]
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] })
    let stderr = ""
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
    child.on("error", reject)
    let repeated: NodeJS.Timeout | undefined
    child.on("close", (code, signal) => {
      clearInterval(repeated)
      resolve({ code, signal, stderr })
    })
    const begun = setInterval(() => {
      const metrics = statSync(join(run, "metrics.jsonl"), { throwIfNoEntry: false })
      if (metrics === undefined || metrics.size === 0) return
      clearInterval(begun)
      child.kill(first)
      if (second !== undefined) repeated = setInterval(() => child.kill(second), 200)
    }, 20)
  })

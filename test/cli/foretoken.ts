import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { run } from "../../packages/cli/src/app.ts"
import { Streams } from "../../packages/cli/src/Streams.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** Arguments to Node that start the command from its sources. */
export const entryPoint = ["-C", "@foretoken/source", `${root}packages/cli/src/main.ts`]

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command from its sources, as a process of its own, in the repository or in `directory`; `preload` is for Node. */
export const foretoken = (
  args: ReadonlyArray<string>,
  options: { readonly directory?: string; readonly preload?: ReadonlyArray<string> } = {}
): Promise<Finished> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...(options.preload ?? []), ...entryPoint, ...args], {
      cwd: options.directory ?? root,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()))
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

/** Runs the command in this process, which takes less time; no terminal is watching. */
export const inProcess = async (args: ReadonlyArray<string>): Promise<Finished> => {
  let stdout = ""
  let stderr = ""
  const streams = {
    out: (text: string) => void (stdout += text),
    error: (text: string) => void (stderr += text),
    columns: undefined
  }
  const code = await Effect.runPromise(Effect.provideService(run(args), Streams, streams))
  return { code, stdout, stderr }
}

/** Test material beside the repository; prints why what needs it is skipped where it is missing. */
export const shared = (path: string): { readonly path: string; readonly missing: boolean } => {
  const full = fileURLToPath(new URL(`../shared/${path}`, `file://${root}`))
  const missing = !existsSync(full)
  if (missing) process.stderr.write(`skipped: ../shared/${path} is not there\n`)
  return { path: full, missing }
}

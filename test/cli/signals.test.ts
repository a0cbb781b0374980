import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { entryPoint, inProcess } from "./foretoken.ts"
import { interrupted } from "./interrupted.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-signals-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const small = "--model preset:nano --corpus dials --min-entropy 0 --max-tokens 6 --group 2 --documents 1 --positions 1"

/** Loaded before the command: what is made durable takes its time, so that a checkpoint does. */
const slow = join(root, "slow.mjs")
writeFileSync(
  slow,
  `import files from "node:fs/promises"
   import { syncBuiltinESMExports } from "node:module"
   import { setTimeout as sleep } from "node:timers/promises"
   const { open } = files
   files.open = async (...given) => {
     const handle = await open(...given)
     const sync = handle.sync.bind(handle)
     handle.sync = async () => sync(await sleep(400))
     return handle
   }
   syncBuiltinESMExports()`
)

/** Nobody waits for its end, and it has no checkpoint but the one that a signal asks for. */
const endless = `${small} --steps 100000 --checkpoint-every 100000`

describe("a training that is sent", () => {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143]
  ] as const) {
    it(`${signal} leaves a checkpoint, says how to go on, and exits with ${code}`, async () => {
      const run = join(root, signal)
      const ended = await interrupted(run, [signal], endless)
      expect(ended.code, ended.stderr).toBe(code)
      expect(ended.stderr).toMatch(/^foretoken: stopped at step \d+; `foretoken resume .*` goes on from there\n$/)
      const [, step] = /at step (\d+)/.exec(ended.stderr) ?? []
      expect(readdirSync(join(run, "checkpoints"))).toEqual([step])
      const replayed = await inProcess(["replay", run, "--step", step, "--json"])
      expect(replayed.code, replayed.stderr).toBe(0)
    }, 180_000)
  }

  it("a second signal dies of that one at once, in the middle of its checkpoint", async () => {
    const run = join(root, "twice")
    const ended = await interrupted(run, ["SIGINT", "SIGTERM"], endless, ["--import", slow])
    expect(ended).toEqual({ code: null, signal: "SIGTERM", stderr: "" })
    expect(readdirSync(join(run, "checkpoints")).filter((name) => /^\d+$/.test(name))).toEqual([])
  }, 180_000)
})

it("a training goes on to its end when the terminal that it tells its progress to is gone", async () => {
  const terminal = join(root, "terminal.mjs")
  writeFileSync(terminal, "Object.assign(process.stderr, { isTTY: true, columns: 80 })")
  const run = join(root, "unwatched")
  const args = ["--import", terminal, ...entryPoint, "train", ...small.split(" "), "--steps", "12", "--run", run]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] })
  child.stderr.once("data", () => child.stderr.destroy())
  const [code] = await once(child, "close")
  expect(code).toBe(0)
  expect(readFileSync(join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(12)
}, 120_000)

it("a training within --memory that is stopped goes on cut the same way, to the weights of one that is not", async () => {
  const json = async (args: string) => {
    const { code, stdout, stderr } = await inProcess([...args.split(" "), "--json"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    return JSON.parse(stdout)
  }
  // A model from random weights never answers: this pays for what it does write, so that there is something to learn.
  const reward = join(root, "even.ts")
  writeFileSync(
    reward,
    `export default ({ rollout: { completion: { tokens } } }) => tokens.filter((id) => id % 2 === 0).length / tokens.length`
  )
  const shape = "--min-entropy 0 --positions 2 --max-tokens 6 --group 2 --documents 4 --lr 0.01"
  const larger = `--model preset:nano --corpus dials --reward ${reward} ${shape}`
  const whole = await json(`train ${larger} --steps 1 --run ${join(root, "whole")}`)
  const less = `${larger} --steps 12 --memory ${(whole.memory.total - 1) / 1e6}MB`
  const undisturbed = await json(`train ${less} --run ${join(root, "undisturbed")}`)
  expect(undisturbed.memory.total).toBeLessThan(whole.memory.total)
  expect(undisturbed.metrics.grad_norm).toBeGreaterThan(0)

  const run = join(root, "stopped")
  const { code, stderr } = await interrupted(run, ["SIGINT"], less)
  expect(code, stderr).toBe(130)
  const resumed = await json(`resume ${run}`)
  expect(resumed).toMatchObject({ steps: 12, hadEnded: false, weightsHash: undisturbed.weightsHash })
  expect(cutOf(run)).toEqual(cutOf(join(root, "undisturbed")))
  expect(cutOf(run)).not.toEqual(cutOf(join(root, "whole")))
}, 180_000)

/** How a run's manifest says that it is cut. */
const cutOf = (run: string) => {
  const { optimizer, batch } = JSON.parse(readFileSync(join(run, "manifest.json"), "utf8")).config
  const { documentsPerMicroBatch, programsKept, remember } = optimizer
  return { documentsPerMicroBatch, programsKept, remember, documentsPerUnit: batch.documentsPerUnit }
}

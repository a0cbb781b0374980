import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { foretoken, inProcess } from "./foretoken.ts"
import type { Finished } from "./foretoken.ts"
import { interrupted } from "./interrupted.ts"

const root = mkdtempSync(join(tmpdir(), "foretoken-threads-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/**
 * Loaded before the command: ends its compute thread for good once that has answered so many calls, and says so in a file. The thread
 * has nothing to do at that moment; a native call that comes back to a thread that is gone would abort the process.
 */
const endingThread = (calls: number, file: string) => {
  const script = join(root, `end-after-${calls}.mjs`)
  writeFileSync(
    script,
    `import { syncBuiltinESMExports } from "node:module"
     import threads from "node:worker_threads"
     import { writeFileSync } from "node:fs"
     let left = ${calls}
     threads.Worker = class extends threads.Worker {
       constructor(...given) {
         super(...given)
         this.on("message", ({ _tag }) => {
           if (_tag !== "done" || --left !== 0) return
           writeFileSync(${JSON.stringify(file)}, "ended")
           void this.terminate()
         })
       }
     }
     syncBuiltinESMExports()`
  )
  return ["--import", script]
}

const parsed = ({ code, stdout, stderr }: Finished) => {
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
  return JSON.parse(stdout)
}
const json = async (args: string) => parsed(await inProcess([...args.split(" "), "--json"]))
/** The same, as a process whose thread ends on the way. */
const disturbed = async (args: string, calls: number) => {
  const file = join(root, `${calls}.ended`)
  const finished = await foretoken([...args.split(" "), "--json"], { preload: endingThread(calls, file) })
  expect(existsSync(file), "the thread was not ended").toBe(true)
  return parsed(finished)
}

const text = "--model preset:nano --corpus dials"
const small = `${text} --steps 12 --documents 2 --lr 0.01 --checkpoint-every 5`

const train = (objective: string, run: string) =>
  `train --objective ${objective} ${small} --run ${join(root, `${objective}-${run}`)}`

it("a training on given text whose thread ends in the middle comes to the same weights", async () => {
  const whole = await json(train("ntp", "whole"))
  const torn = await disturbed(train("ntp", "torn"), 38)
  expect(torn.weightsHash).toBe(whole.weightsHash)
  expect([whole, torn].map(({ metrics }) => metrics["actors/restarted"])).toEqual([0, 1])
}, 120_000)

for (const objective of ["ntp", "sft"]) {
  it(`resume goes on with --objective ${objective} from the checkpoint that is left, and leaves alone what is done`, async () => {
    const { run, weightsHash } = await json(train(objective, "resumed"))
    rmSync(join(run, "checkpoints", "12"), { recursive: true })
    expect(await json(`resume ${run}`)).toMatchObject({ objective, from: 10, steps: 12, hadEnded: false, weightsHash })
    expect(await json(`resume ${run}`)).toMatchObject({ from: 12, hadEnded: true, weightsHash })
    const rows = readFileSync(join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n")
    expect(rows.map((row) => JSON.parse(row).step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1))
    const samplers = await inProcess(["resume", run, "--samplers", "2"])
    expect(samplers.stderr).toBe(`foretoken: --samplers is of --objective rpt; this run is one of ${objective}\n`)
  })
}

it("resume goes on with adapters on a base that is kept as its file has it, on a corpus that was moved", async () => {
  const corpus = join(root, "was.jsonl")
  const texts = Array.from({ length: 8 }, (_, i) => ({
    text: `Here the dial shows ${i}. Mia turns the dial up 2, flip, down 1. Now the dial shows 2.`
  }))
  writeFileSync(corpus, texts.map((line) => `${JSON.stringify(line)}\n`).join(""))
  const run = join(root, "moved")
  const model = join(root, "ntp-whole", "checkpoints", "12")
  const kept = `--model ${model} --storage file --lora-rank 2 --steps 12 --documents 2 --lr 0.01 --checkpoint-every 5`
  const { weightsHash } = await json(`train --objective ntp ${kept} --corpus ${corpus} --run ${run}`)
  rmSync(join(run, "checkpoints", "12"), { recursive: true })
  renameSync(corpus, join(root, "is.jsonl"))
  const { stderr } = await inProcess(["resume", run])
  expect(stderr).toBe(`foretoken: ${corpus}: no such file\n`)
  const resumed = await json(`resume ${run} --corpus ${join(root, "is.jsonl")}`)
  expect(resumed).toMatchObject({ from: 10, steps: 12, hadEnded: false, weightsHash })
  appendFileSync(join(root, "is.jsonl"), '{"text":"more"}\n')
  const other = await inProcess(["resume", run, "--corpus", join(root, "is.jsonl")])
  expect(other.stderr).toMatch(/cannot go on as it began: corpus.sha256 was /)
}, 120_000)

it("a training on given text that is stopped leaves a checkpoint, and goes on from there to the same weights", async () => {
  const flags = `--objective ntp ${small.replace("--steps 12", "--steps 24")}`
  const run = join(root, "stopped")
  const { code, stderr } = await interrupted(run, ["SIGINT"], flags)
  expect(code, stderr).toBe(130)
  const [, step] = /stopped at step (\d+); `foretoken resume .*` goes on from there\n$/.exec(stderr) ?? []
  expect(readdirSync(join(run, "checkpoints"))).toContain(step)
  const resumed = await json(`resume ${run}`)
  expect(resumed).toMatchObject({ from: Number(step), steps: 24, hadEnded: false })
  const undisturbed = await json(`train ${flags} --run ${join(root, "never-stopped")}`)
  expect(resumed.weightsHash).toBe(undisturbed.weightsHash)
}, 120_000)

it("an evaluation whose thread ends in the middle finds the same", async () => {
  const model = join(root, "ntp-whole", "checkpoints", "12")
  const args = `eval --model ${model} --corpus dials --documents 8 --max-tokens 4 --reasoned`
  expect(await disturbed(args, 26)).toEqual(await json(args))
}, 120_000)

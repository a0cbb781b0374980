import { spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"

const root = join(import.meta.dirname, "..")
const node = join(root, "node_modules/.bin/node")
const sourceOf = (example: string) => readFileSync(join(root, "examples", example), "utf8")

// Examples write to runs/ in the directory that they are started from. One directory: the stand-ins are made once.
let cwd = ""
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "foretoken-examples-"))
})
afterAll(() => rm(cwd, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly output: string
}

/** Starts an example as its first line says, on the sources, and waits for its end. */
const start = (example: string) => {
  const child = spawn(node, ["--conditions=@foretoken/source", join(root, "examples", example)], { cwd })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, output }))
  })
  return { child, ended }
}

/** The metrics that a run has logged so far, one record a step. */
const metricsOf = (run: string): ReadonlyArray<Record<string, number>> => {
  const path = join(cwd, run, "metrics.jsonl")
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : []
  return lines.slice(0, -1).map((line) => JSON.parse(line))
}

/** Lets a pipeline example take a step, interrupts it as Ctrl-C does, and gives what the step logged. */
const firstStep = async (example: string, run: string) => {
  const { child, ended } = start(example)
  const logged = async (): Promise<void> => {
    while (metricsOf(run).length === 0) await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const early = await Promise.race([logged(), ended])
  if (early !== undefined) throw new Error(`${example} ended before its first step:\n${early.output}`)
  child.kill("SIGINT")
  const { code } = await ended
  expect(code).toBe(130)
  return metricsOf(run)[0]
}

test("01 finds the reward that is wrong, with a shrunk counterexample, and nothing against the right one", async () => {
  const { code, output } = await start("01-property-test-a-reward.ts").ended
  expect(code).toBe(1)
  expect(output).toMatch(/✖ overlap gives finite values/)
  expect(output).toContain("rollout 0 is unscorable: overlap gave NaN, which is no finite number")
  expect(output).toMatch(/prediction +none \((empty|truncated|no-box|malformed)\)/)
  expect(output.match(/✔ prefixMatch/g)!.length).toBeGreaterThan(15)
  expect(output).not.toContain("✖ prefixMatch")
  expect(sourceOf("01-property-test-a-reward.ts").trimEnd().split("\n").length).toBeLessThanOrEqual(15)
})

test("02 prints a graph and the gradient that calculus gives", async () => {
  const { code, output } = await start("02-gradient-of-a-function.ts").ended
  expect(code, output).toBe(0)
  expect(output).toContain("g:f32[4] = sub f d")
  // y = 2x + 1 at slope 1, offset 0: the residuals are -1, -2, -3, -4; mean of squares 7.5; 2 mean(r x) and 2 mean(r)
  expect(output.match(/Float32Array\(1\) \[ \S+ \]/g)).toEqual([7.5, -10, -5].map((x) => `Float32Array(1) [ ${x} ]`))
})

test("03 and 04 run the same pipeline on two backends, which sample the same completions", async () => {
  const onOnnx = await firstStep("03-pipeline.ts", "runs/first")
  const onTfjs = await firstStep("04-another-backend.ts", "runs/on-tfjs")
  expect(onOnnx["completion/tokens"]).toBeGreaterThan(1)
  expect(onTfjs["completion/tokens"]).toBeCloseTo(onOnnx["completion/tokens"], 0)
  expect(onTfjs.entropy).toBeCloseTo(onOnnx.entropy, 2)
}, 180_000)

test("04 differs from 03 in the backend, its import and the name of the run", () => {
  const other = sourceOf("04-another-backend.ts").split("\n")
  const changed = sourceOf("03-pipeline.ts")
    .split("\n")
    .flatMap((line, i) => (line === other[i] ? [] : [other[i].trim()]))
  expect(changed).toEqual([
    'import { Tfjs } from "@foretoken/backend-tfjs"',
    'Pipeline.run(pipeline, { steps: 200, seed: 7, run: "runs/on-tfjs" }).pipe(',
    "Effect.provide(Tfjs.layer()), // switch backends here"
  ])
})

test("05 learns through a replay buffer of its own: completions grow shorter", async () => {
  const { code, output } = await start("05-a-stage-of-your-own.ts").ended
  expect(code, output).toBe(0)
  const lengths = metricsOf("runs/brevity").map((metrics) => metrics["completion/tokens"])
  expect(lengths).toHaveLength(8)
  expect(lengths[7]).toBeLessThan(lengths[0] - 1)
  expect(output).toContain(`step 8: ${lengths[7].toFixed(1)} tokens a completion`)
}, 180_000)

test("06 holds its reward to its claims, then learns from it: what it pays for becomes more frequent", async () => {
  const { code, output } = await start("06-a-reward-of-your-own.ts").ended
  expect(code, output).toBe(0)
  expect(output).toContain("✔ prefixMatch + 0.1 digits pays for every prefix on a token boundary")
  const digits = metricsOf("runs/digits").map((metrics) => metrics["reward/part/digits"])
  expect(digits).toHaveLength(8)
  expect(digits[7]).toBeGreaterThan(2 * digits[0])
}, 180_000)

test("07 finds what a crash does to a stage that keeps its state in the actor, and nothing against the other", async () => {
  const { code, output } = await start("07-simulate-a-stage.ts").ended
  expect(output).toMatch(/✖ forgetful: step \d is given \d groups .* is lost/)
  expect(output).toMatch(/life 1, message \w+ \d+ \(replay-buffer.*\): .*crashes/)
  expect(output).toMatch(/✔ lasting: 100 schedules, \d+ messages/)
  expect(code).toBe(0)
})

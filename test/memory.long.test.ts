import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect, it } from "vitest"

const program = fileURLToPath(new URL("memory/trainAndWatch.ts", import.meta.url))
const collect = new URL("memory/collect.ts", import.meta.url)

/**
 * RSS after every step, in MiB, of a process that keeps little beside what is alive: left to itself, V8 lets garbage lie until
 * its heaps have grown a good deal, and RSS rises for some hundred steps and falls back at once.
 */
const watched = async (steps: number, ...how: ReadonlyArray<string>): Promise<ReadonlyArray<number>> => {
  const flags = ["--expose-gc", "--max-semi-space-size=8", "-C", "@foretoken/source"]
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, program, `${steps}`, ...how], {
    // Threads, too, have it from there.
    env: { ...process.env, NODE_OPTIONS: `--import ${collect.href}` }
  })
  const curve = JSON.parse(stdout).map((bytes: number) => bytes / 2 ** 20)
  const shown = curve.filter((_: number, i: number) => i % 20 === 19).map(Math.round)
  process.stderr.write(`RSS of every 20th step${how.map((word) => `, ${word}`).join("")}, MiB: ${shown.join(" ")}\n`)
  return curve
}

/** How much more is left of the last hundred of 500 steps than of steps 151 to 250, where least is: a share. */
const growth = (curve: ReadonlyArray<number>): number =>
  Math.min(...curve.slice(400)) / Math.min(...curve.slice(150, 250)) - 1

it("the memory of a run of 500 steps stays as it was after 250", async () => {
  const curve = await watched(500)
  expect(curve).toHaveLength(500)
  expect(growth(curve)).toBeLessThan(0.05)
})

it("the memory of a run that keeps one more buffer of every step, the size of one weight, does not", async () => {
  expect(growth(await watched(500, "leak"))).toBeGreaterThan(0.05)
})

/** 20,000 schedules of the real pipeline, and planted bugs under other seeds than the short tests take. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import type { SimulationCounts } from "@foretoken/core/testing"
import { expect, it } from "vitest"
import { findingOf, plantedBugs } from "../packages/core/test/testing/plantedRuns.ts"

const shard = new URL("simulation/shard.ts", import.meta.url).pathname

const simulated = async (schedules: number, seed: number, kind: "plain" | "rich"): Promise<SimulationCounts> => {
  const args = ["-C", "@foretoken/source", shard, String(schedules), String(seed), kind]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout)
}

const kindsOfFaults = [
  ...["Crash after", "Crash before", "Kill", "PowerLoss", "Refuse", "Stall"].map((fault) => `actor ${fault}`),
  ...["Fail", "Kill", "PowerLoss", "Slow", "Torn"].map((fault) => `disk ${fault}`),
  ...["Crash after", "Crash before", "Crash during", "Kill", "PowerLoss", "Stall", "Stop", "Twice"].map(
    (fault) => `message ${fault}`
  )
]

const total = (all: ReadonlyArray<Readonly<Record<string, number>>>): Readonly<Record<string, number>> => {
  const names = [...new Set(all.flatMap((counts) => Object.keys(counts)))].toSorted()
  return Object.fromEntries(names.map((name) => [name, all.reduce((sum, counts) => sum + (counts[name] ?? 0), 0)]))
}

it("20,000 schedules lose nothing, double nothing, and come to the same weights", async () => {
  const shards = await Promise.all([simulated(10_000, 1, "plain"), simulated(10_000, 2, "rich")])
  const { schedules, planned, messages, resumes } = total(
    shards.map(({ schedules, planned, messages, resumes }) => ({ schedules, planned, messages, resumes }))
  )
  const lives = total(shards.map((counts) => counts.lives))
  const hits = total(shards.map((counts) => counts.hits))
  process.stdout.write(`${JSON.stringify({ schedules, planned, messages, resumes, lives, hits }, undefined, 2)}\n`)
  expect(schedules).toBe(20_000)
  expect(lives).toMatchObject({ done: 20_000, stuck: 0, ended: 0 })
  expect(Object.keys(hits)).toEqual(kindsOfFaults)
  expect(Math.min(...Object.values(hits))).toBeGreaterThan(50)
  expect(Math.min(resumes, lives["died"], lives["failed"], lives["stopped"])).toBeGreaterThan(500)
})

it.each(plantedBugs)("within 2,000 schedules of each of three seeds is found: $name", async (bug) => {
  const { name, parts, settings, says } = bug
  for (const seed of [101, 102, 103]) {
    const { finding, schedules, faults } = await findingOf(parts, { seed, runs: 2000, ...settings })
    process.stdout.write(`${name}, seed ${seed}: found in schedule ${schedules}, shrunk to ${faults.length} faults\n`)
    expect(finding).toMatch(says)
    expect(schedules).toBeLessThanOrEqual(2000)
    expect(faults.length).toBeLessThanOrEqual(3)
  }
})

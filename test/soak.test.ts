import { expect, it } from "vitest"
import { complaints, soak } from "./soak/soak.ts"

it("a run whose process and threads are killed at random moments comes to the same weights, everything consumed once", async () => {
  const options = {
    seed: 1,
    steps: 8,
    shapes: [{ lag: 1, samplers: 2 }],
    processes: 3,
    workers: 1,
    every: 150
  }
  const soaked = await soak(options)
  process.stderr.write(`${JSON.stringify(soaked)}\n`)
  expect(complaints(soaked, options)).toEqual([])
}, 300_000)

it("a soak that kills nothing shows nothing, and fails", async () => {
  const options = { seed: 1, steps: 1, shapes: [{ lag: 0, samplers: 1 }], processes: 0, workers: 0, every: 150 }
  expect(complaints(await soak(options), options)).toEqual([
    "only 0 processes were killed",
    "only 0 threads were seen to die",
    "no run was gone on with"
  ])
}, 300_000)

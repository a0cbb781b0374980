import { expect, it } from "vitest"
import { complaints, soak } from "./soak/soak.ts"

it("200 deaths of processes and threads at random moments change nothing, at any lag, for any number of samplers", async () => {
  const options = {
    seed: 20260801,
    steps: 40,
    shapes: [
      { lag: 0, samplers: 1 },
      { lag: 1, samplers: 2 },
      { lag: 4, samplers: 3 },
      { lag: 2, samplers: 1 }
    ],
    processes: 140,
    workers: 60,
    every: 250
  }
  const soaked = await soak(options)
  process.stderr.write(`${JSON.stringify(soaked)}\n`)
  expect(complaints(soaked, options)).toEqual([])
  // Moments that matter are among the random ones; how many is for the disk to say.
  for (const count of Object.values(soaked.during)) expect(count).toBeGreaterThan(1)
})

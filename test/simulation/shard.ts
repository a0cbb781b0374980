/**
 * One process's share of the long simulation: what it counted as JSON, or what is wrong.
 *
 *   npx node -C @foretoken/source test/simulation/shard.ts SCHEDULES SEED plain|rich
 */
import { Worker } from "node:worker_threads"
import { simulate } from "@foretoken/core/testing"
import { Effect } from "effect"

const [schedules, seed, kind] = process.argv.slice(2)

// A test runner that is killed takes no child with it, and nobody wants the answer then. A simulation lets no timer of its own thread come.
const watch = "const { ppid } = process; setInterval(() => process.ppid === ppid || process.kill(process.pid), 1000)"
new Worker(watch, { eval: true }).unref()

/** What else outlives a step: dynamic sampling, and validations of which the best checkpoint is kept. */
const rich = () => ({
  dynamicSampling: { fromStep: 1, maxAttempts: 2, minGroups: 1 },
  validation: [
    {
      metric: "accuracy",
      every: 1,
      measure: ({ version }: { readonly version: string }) => Effect.succeed(parseInt(version.slice(0, 8), 16))
    }
  ]
})

const { check, counts } = simulate(kind === "rich" ? rich : () => ({}), { runs: Number(schedules), seed: Number(seed) })
await check()
process.stdout.write(`${JSON.stringify(counts())}\n`)

/**
 * What a pipeline does with more samplers, stragglers, crashes, lag and room in its buffer: the real actors, ledger and
 * checkpoints under virtual time, with a modelled model. Nothing depends on the machine: the same command gives the same
 * numbers. Writes docs/scale.svg and prints the tables of docs/experiments.md.
 *
 *   npx node -C @foretoken/source bench/scale.ts
 */
import { writeFileSync } from "node:fs"
import { Effect, Exit } from "effect"
import { Transport } from "../packages/core/src/actor/Transport.ts"
import * as Pipeline from "../packages/core/src/pipeline/Pipeline.ts"
import type { Unit } from "../packages/core/src/pipeline/messages.ts"
import * as ReplayBuffer from "../packages/core/src/pipeline/ReplayBuffer.ts"
import { WatchTimerLag } from "../packages/core/src/pipeline/timerLag.ts"
import { uniform } from "../packages/core/src/random/draw.ts"
import { Disk } from "../packages/core/src/storage/Disk.ts"
import { Backend } from "../packages/core/src/tensor/Backend.ts"
import { makeMemoryDisk } from "../packages/core/src/testing/memoryDisk.ts"
import { Conductor } from "../packages/core/src/testing/simulation/Conductor.ts"
import { backend, stages } from "../packages/core/src/testing/simulation/modelled.ts"
import { lineChart } from "./lineChart.ts"

/** Units of a step. */
const units = 256
const steps = 4
/** Seconds of an update: what 64 samplers take for a step. */
const updateSeconds = 4

interface Setup {
  readonly samplers: number
  readonly lag: number
  /** Spread of the log of a unit's seconds; the median is one second. */
  readonly sigma: number
  /** Share of the units that crash their sampler halfway. */
  readonly crashes: number
  /** Steps that fit into the buffer; sampling waits for room. */
  readonly room: number
}

const usual: Setup = { samplers: 64, lag: 1, sigma: 0.5, crashes: 0, room: 5 }

/** Seconds of a unit, from its draws: log-normal, median 1. */
const secondsOf = (uniforms: Float32Array, sigma: number): number => {
  const normal = Math.sqrt(-2 * Math.log(1 - uniforms[0])) * Math.cos(2 * Math.PI * uniforms[1])
  return Math.exp(sigma * normal)
}

/** Units a second between the end of the first step and that of the last, in virtual time. */
const throughput = ({ samplers, lag, sigma, crashes, room }: Setup): number => {
  const conductor = new Conductor(0)
  const latencies = {
    sample: ({ uniforms }: { readonly uniforms: Float32Array }) => 1000 * secondsOf(uniforms, sigma),
    update: 1000 * updateSeconds
  }
  const pipeline = Pipeline.make({
    ...stages(latencies),
    buffer: ReplayBuffer.make({ capacity: room * units, overflow: "wait" }),
    lag,
    batch: { documentsPerStep: units, documentsPerUnit: 1, shuffleBuffer: 4 }
  })
  let delivered = 0
  const crashing = {
    deliver: <A, E>(
      { request, payload }: { readonly request: string; readonly payload: unknown },
      handle: Effect.Effect<A, E>
    ) => {
      if (request !== "Sample") return handle
      const { unit } = payload as { readonly unit: Unit } // what a Sample carries
      const crash = uniform(1, "crash", unit.index, delivered++) < crashes
      return crash ? Effect.andThen(Effect.sleep(500), Effect.die(new Error("a crash"))) : handle
    },
    make: <A, E, R>(_actor: string, make: Effect.Effect<A, E, R>) => make
  }
  const ends: Array<number> = []
  const onStep = () => Effect.sync(() => void ends.push(conductor.now / 1000))
  const ending = conductor.run(
    Pipeline.run(pipeline, { run: "/run", steps, seed: 7, samplers, onStep }).pipe(
      Effect.provideService(Backend, backend),
      Effect.provideService(Disk, makeMemoryDisk().boot()),
      Effect.provideService(Transport, crashing),
      Effect.provideService(WatchTimerLag, Effect.succeed({ largest: Effect.succeed(0) }))
    )
  )
  if (ending._tag !== "Exit" || Exit.isFailure(ending.exit)) throw new Error(`did not end: ${JSON.stringify(ending)}`)
  return ((steps - 1) * units) / (ends[steps - 1] - ends[0])
}

const print = (line: string) => process.stdout.write(`${line}\n`)

const table = (title: string, head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>) => {
  const cell = (value: string | number) => (typeof value === "number" ? value.toFixed(1) : value)
  print(`\n${title}\n\n| ${head.join(" | ")} |\n| ${head.map(() => "---:").join(" | ")} |`)
  for (const row of rows) print(`| ${row.map(cell).join(" | ")} |`)
}

const counts = [1, 8, 64, 256, 1000]
const lags = [0, 1, 2, 4]
const bySamplers = counts.map((samplers) => lags.map((lag) => throughput({ ...usual, samplers, lag })))
table(
  "Units a second by samplers and lag",
  ["samplers", ...lags.map((lag) => `lag ${lag}`)],
  counts.map((samplers, i) => [String(samplers), ...bySamplers[i]])
)

const few = [0, 1, 4]
const sigmas = [0, 1, 1.5]
table(
  "By stragglers: the spread of the log of a unit's seconds (64 samplers)",
  ["spread", ...few.map((lag) => `lag ${lag}`)],
  sigmas.map((sigma) => [String(sigma), ...few.map((lag) => throughput({ ...usual, sigma, lag }))])
)

const shares = [0.01, 0.05, 0.1]
table(
  "By units that crash their sampler (64 samplers)",
  ["share", ...few.map((lag) => `lag ${lag}`)],
  shares.map((crashes) => [`${100 * crashes} %`, ...few.map((lag) => throughput({ ...usual, crashes, lag }))])
)

table(
  "By room in the buffer, in steps (256 samplers, lag 4)",
  ["steps", "units a second"],
  [1, 2, 3, 5].map((room) => [String(room), throughput({ ...usual, samplers: 256, lag: 4, room })])
)

writeFileSync(
  new URL("../docs/scale.svg", import.meta.url),
  lineChart({
    title: "Units a second by samplers (virtual time)",
    x: { label: "samplers", values: counts },
    lines: lags.map((lag, l) => ({ label: `lag ${lag}`, values: bySamplers.map((row) => row[l]) }))
  })
)

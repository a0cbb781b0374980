/**
 * `npm run bench`: Foretoken beside its peers on the same work, by turns (A B C A B C ...), and the targets of the engine.
 *
 *   npm run bench -- [--quick] [--only step-15M,step-260K,train,decode,slope,agreement] [--rounds 3] [--steps 3]
 *                    [--contenders onnx,torch] [--json]
 *
 * The median of the rounds counts. --quick: one round, one step, without TRL.
 */
import { existsSync } from "node:fs"
import { availableParallelism, cpus } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { agreement } from "./agreement.ts"
import type { Contender, Reading, Work } from "./contenders.ts"
import { findContenders, foretokenBench, root } from "./contenders.ts"

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    contenders: { type: "string" },
    rounds: { type: "string" },
    steps: { type: "string" },
    json: { type: "boolean", default: false }
  }
})
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
const steps = Number(values.steps ?? (values.quick ? 1 : 3))

const models = join(root, "../shared/models")
const stories15M = join(models, "stories15M")
const step = { positions: 4, group: 8, context: 192, tokens: 32 }
const small = [4, 256, 8, 768, 1024]

const experiments: Readonly<Record<string, Work>> = {
  "step-15M": { workload: "step", model: stories15M, flags: { documents: 2, ...step } },
  "step-260K": { workload: "step", model: join(models, "stories260K"), flags: { documents: 8, ...step } },
  train: { workload: "train", model: small, flags: { batch: 32, length: 128 } },
  decode: { workload: "decode", model: small, flags: { batch: 64, length: 64 } }
}

const say = (line: string) => void process.stderr.write(`${line}\n`)
const middle = (all: ReadonlyArray<number>): number => {
  const sorted = all.toSorted((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}

interface Measured {
  readonly name: string
  readonly readings: ReadonlyArray<Reading>
}

/** Everyone by turns; whoever fails says why once and leaves. */
const takeTurns = (work: Work, contenders: ReadonlyArray<Contender>): ReadonlyArray<Measured> => {
  const readings = new Map<string, Array<Reading>>()
  const out = new Set<string>()
  for (let round = 0; round < rounds; round++) {
    for (const { name, run, slow } of contenders) {
      if (out.has(name) || (slow && round > 0)) continue
      try {
        const read = run(work, steps)
        readings.set(name, [...(readings.get(name) ?? []), read])
        say(`  ${name}: ${(read.stepSeconds * 1000).toFixed(0)} ms`)
      } catch (error) {
        out.add(name)
        say(`  ${name}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  return [...readings].map(([name, all]) => ({ name, readings: all }))
}

/** One line a contender: its median step and phases, and how many times its speed Foretoken's on onnx is. */
const tableOf = (measured: ReadonlyArray<Measured>) => {
  const own = middle(measured[0].readings.map(({ stepSeconds }) => stepSeconds))
  return measured.map(({ name, readings }) => {
    const median = (of: (reading: Reading) => number) => middle(readings.map(of))
    const seconds = median(({ stepSeconds }) => stepSeconds)
    const phase = (key: string) => {
      const ms = median(({ phases }) => phases[key] ?? NaN) * 1000
      return Number.isNaN(ms) ? "" : ms.toFixed(0)
    }
    const named = median(({ phases }) =>
      ["sample", "train", "optimizer"].reduce((sum, key) => sum + (phases[key] ?? 0), 0)
    )
    const ceiling = median(({ ceilingGflops }) => ceilingGflops ?? NaN)
    return {
      contender: name,
      "ms a step": (seconds * 1000).toFixed(0),
      sample: phase("sample"),
      train: phase("train"),
      optimizer: phase("optimizer"),
      rest: named === 0 ? "" : ((seconds - named) * 1000).toFixed(0),
      "ceiling, GFLOP/s": Number.isNaN(ceiling) ? "" : ceiling.toFixed(0),
      "foretoken is": `${(seconds / own).toFixed(2)}x`
    }
  })
}

const markdown = (rows: ReadonlyArray<Readonly<Record<string, string>>>): string => {
  const columns = Object.keys(rows[0])
  const lines = [columns, columns.map(() => "---"), ...rows.map((row) => columns.map((column) => row[column]))]
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n")
}

const { found, missing } = findContenders(!values.quick)
const wanted = values.contenders?.split(",")
const contenders = found.filter(({ name }, i) => i === 0 || (wanted?.some((part) => name.includes(part)) ?? true))
const only = values.only?.split(",") ?? [...Object.keys(experiments), "slope", "agreement"]
const printed: Record<string, unknown> = {}
const show = (text: string) => void (values.json || process.stdout.write(`${text}\n`))

show(`${cpus()[0].model}, ${availableParallelism()} cores; ${rounds} rounds of ${steps} steps, by turns\n`)
for (const line of missing) show(`missing: ${line}`)

if (only.includes("agreement") && existsSync(stories15M) && contenders.some(({ name }) => name.startsWith("torch"))) {
  say("agreement")
  const found = await agreement(stories15M)
  printed["agreement"] = found
  show(`\n### agreement\n\n${JSON.stringify(found)}`)
}
for (const [name, work] of Object.entries(experiments)) {
  if (!only.includes(name)) continue
  if (typeof work.model === "string" && !existsSync(work.model)) {
    show(`missing: ${name}: ${work.model} is not there`)
    continue
  }
  say(name)
  const measured = takeTurns(
    work,
    contenders.filter(({ takes }) => takes(work))
  )
  const rows = tableOf(measured)
  const shares = measured[0].readings.map(({ shareOfCeiling }) => shareOfCeiling)
  const share = Object.fromEntries(
    Object.keys(shares[0]).map((part) => [part, Number(middle(shares.map((one) => one[part])).toFixed(3))])
  )
  printed[name] = { rows, share, measured }
  const { raw } = measured[0].readings[0]
  const about = ["paddingShare", "messages", "timerLagMs", "logprobGap", "rssBytes"].flatMap((key) =>
    key in raw ? [`${key} ${JSON.stringify(raw[key])}`] : []
  )
  show(`\n### ${name}\n\n${markdown(rows)}\n\nshare of the ceiling ${JSON.stringify(share)}; ${about.join("; ")}`)
}
if (only.includes("slope")) {
  say("slope")
  const model = existsSync(stories15M) ? stories15M : `sizes:${small.join(",")}`
  const flags = { ...step, documents: 1, steps: Math.max(steps, 3) }
  const given = Object.entries({ model, ...flags }).flatMap(([key, value]) => [`--${key}`, `${value}`])
  const raw = foretokenBench(["--slope", ...given])
  printed["slope"] = raw
  show(
    `\n### slope\n\n${JSON.stringify(raw["points"])}\n\ndearest over cheapest ${Number(raw["spread"]).toFixed(3)} more`
  )
}
if (values.json) process.stdout.write(`${JSON.stringify({ missing, ...printed })}\n`)

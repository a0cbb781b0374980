/**
 * How long a model takes to load in each format, and how much memory that takes at its peak:
 *
 *   npx node -C @foretoken/source bench/formats.ts [MODEL] [--rounds 3] [--json]
 *
 * MODEL (../shared/models/stories15M) is converted to each format first. Every load is a process of its own, by turns; the median of
 * the rounds counts. `peak` is what the resident set grew by at most while it loaded, `weights` the bytes of the f32 weights: a peak
 * of one weights and a bit is a load that keeps nothing else. Linux can forget an earlier peak (what starting up took); elsewhere
 * that is in the first number, and peaks come out lower.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { loadModel, saveGguf, saveModel } from "@foretoken/core"
import { Effect } from "effect"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
    load: { type: "string" }
  }
})

interface Load {
  readonly seconds: number
  readonly peakBytes: number
  readonly weightBytes: number
}

/** In a process of its own: loads and tells. */
const loadHere = async (path: string): Promise<Load> => {
  const resident = forgetPeak() ? process.memoryUsage.rss() : peakBytes()
  const began = performance.now()
  const { weights } = await Effect.runPromise(loadModel(path))
  const weightBytes = Object.values(weights).reduce((sum, { data }) => sum + data.byteLength, 0)
  return { seconds: (performance.now() - began) / 1000, peakBytes: peakBytes() - resident, weightBytes }
}

/** Bytes of the largest resident set so far. */
const peakBytes = (): number => {
  const inStatus = existsSync("/proc/self/status")
    ? /VmHWM:\s*(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))
    : null
  return 1024 * (inStatus === null ? process.resourceUsage().maxRSS : Number(inStatus[1]))
}

const forgetPeak = (): boolean => {
  try {
    writeFileSync("/proc/self/clear_refs", "5")
    return true
  } catch {
    return false
  }
}

const loadApart = (path: string): Load => {
  const script = fileURLToPath(import.meta.url)
  const { stdout, stderr, status } = spawnSync(process.execPath, ["-C", "@foretoken/source", script, "--load", path], {
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

const compare = async (model: string, rounds: number) => {
  const root = mkdtempSync(join(tmpdir(), "foretoken-formats-"))
  try {
    const stored = await Effect.runPromise(loadModel(model))
    const formats: Array<readonly [name: string, path: string, file: string]> = []
    for (const dtype of ["F32", "F16", "BF16"] as const) {
      const path = join(root, dtype)
      await Effect.runPromise(saveModel(path, stored, { dtype }))
      formats.push([`safetensors ${dtype}`, path, join(path, "model.safetensors")])
    }
    for (const type of ["F32", "F16", "BF16", "Q8_0"] as const) {
      const path = join(root, `${type}.gguf`)
      await Effect.runPromise(saveGguf(path, stored, type))
      formats.push([`gguf ${type}`, path, path])
    }
    const loads = new Map<string, Array<Load>>()
    for (let round = 0; round < rounds; round++) {
      for (const path of formats.map(([, path]) => path)) {
        loads.set(path, [...(loads.get(path) ?? []), loadApart(path)])
      }
    }
    const of = (path: string, key: keyof Load) => median((loads.get(path) ?? []).map((load) => load[key]))
    return formats.map(([format, path, file]) => ({
      format,
      fileBytes: statSync(file).size,
      weightBytes: of(path, "weightBytes"),
      seconds: of(path, "seconds"),
      peakBytes: of(path, "peakBytes")
    }))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

if (values.load !== undefined) {
  process.stdout.write(JSON.stringify(await loadHere(values.load)))
} else {
  const model = positionals[0] ?? fileURLToPath(new URL("../../shared/models/stories15M", import.meta.url))
  const rows = await compare(model, Number(values.rounds))
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const lines = rows.map(
    ({ format, fileBytes, weightBytes, seconds, peakBytes }) =>
      `${format.padEnd(16)} file ${mib(fileBytes).padStart(10)}  weights ${mib(weightBytes).padStart(10)}  ` +
      `load ${seconds.toFixed(2)} s  peak ${mib(peakBytes).padStart(10)} (${(peakBytes / weightBytes).toFixed(2)} x weights)`
  )
  process.stdout.write(values.json ? `${JSON.stringify(rows)}\n` : `${lines.join("\n")}\n`)
}

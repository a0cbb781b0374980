/** Who is measured: Foretoken on its backends, and the peers that are installed. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const root = join(import.meta.dirname, "..")
const peers = join(import.meta.dirname, "peers")
const python = process.env["FORETOKEN_PYTHON"] ?? "python3"
const trl = join(root, "../shared/peers/trl_step.py")

/** For as long as this process lives. */
export const scratch = mkdtempSync(join(tmpdir(), "foretoken-bench-"))
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }))

/** What one run of a contender says; rates are those of its median step. */
export interface Reading {
  readonly stepSeconds: number
  readonly phases: Readonly<Record<string, number>>
  readonly ceilingGflops: number | undefined
  readonly shareOfCeiling: Readonly<Record<string, number>>
  /** The document that it printed */
  readonly raw: Readonly<Record<string, unknown>>
}

/** A piece of work, in flags that `foretoken bench` and torch_step.py share. */
export interface Work {
  readonly workload: "step" | "train" | "decode"
  /** Directory, or the five numbers of a new model */
  readonly model: string | ReadonlyArray<number>
  readonly flags: Readonly<Record<string, number>>
}

export interface Contender {
  readonly name: string
  readonly run: (work: Work, steps: number) => Reading
  /** So slow that once is enough. */
  readonly slow: boolean
  readonly takes: (work: Work) => boolean
}

/** Runs a program to its end and reads the last line of its output as JSON. */
const readJson = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 28
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}: ${stderr.trim().slice(-2000)}`)
  const printed: Record<string, unknown> = JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
  return printed
}

const pairs = (flags: Readonly<Record<string, number | string>>): ReadonlyArray<string> =>
  Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])

const isSpread = (value: unknown): value is { readonly median: number } =>
  typeof value === "object" && value !== null && "median" in value

const middle = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2
}

/** The median of what Foretoken gives as a spread and torch as a list. */
const medianOf = (value: unknown): number =>
  isSpread(value) ? value.median : Array.isArray(value) ? middle(value.map(Number)) : NaN

const reading = (raw: Readonly<Record<string, unknown>>): Reading => ({
  stepSeconds: medianOf(raw["stepSeconds"]),
  phases: Object.fromEntries(Object.entries(raw["phases"] ?? {}).map(([name, value]) => [name, medianOf(value)])),
  ceilingGflops: typeof raw["ceilingGflops"] === "number" ? raw["ceilingGflops"] : undefined,
  shareOfCeiling: Object.fromEntries(
    Object.entries(raw["shareOfCeiling"] ?? {}).map(([name, value]) => [name, Number(value)])
  ),
  raw
})

/** `foretoken bench --json` with these flags, from its sources. */
export const foretokenBench = (flags: ReadonlyArray<string>): Readonly<Record<string, unknown>> =>
  readJson(process.execPath, ["-C", "@foretoken/source", "packages/cli/src/main.ts", "bench", "--json", ...flags])

const foretoken = (backend: string, device: string): Contender => ({
  name: `foretoken ${backend}:${device}`,
  slow: false,
  takes: () => true,
  run: ({ workload, model, flags }, steps) =>
    reading(
      foretokenBench([
        ...pairs({ workload, model: typeof model === "string" ? model : `sizes:${model.join(",")}`, ...flags, steps }),
        ...pairs({ backend, device })
      ])
    )
})

const sizeNames = ["layers", "d", "heads", "ffn", "vocab"]

export const torchStep = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  readJson(python, [join(peers, "torch_step.py"), ...args], env)

const torch = (name: string, more: ReadonlyArray<string>, env: Readonly<Record<string, string>>): Contender => ({
  name,
  slow: false,
  takes: () => true,
  run: ({ workload, model, flags }, steps) => {
    const sizes = typeof model === "string" ? { model } : Object.fromEntries(sizeNames.map((key, i) => [key, model[i]]))
    return reading(torchStep([...pairs({ workload, ...sizes, ...flags, steps }), ...more], env))
  }
})

const trlStep: Contender = {
  name: "trl GRPOTrainer",
  slow: true,
  takes: ({ workload, model }) => workload === "step" && typeof model === "string",
  run: ({ model, flags: { documents, positions, group, context, tokens } }) => {
    // The first step is its warm-up.
    const raw = readJson(python, [trl, String(model), ...[documents, positions, group, context, tokens, 3].map(String)])
    return { ...reading(raw), stepSeconds: Number(raw["step_s_med"]) }
  }
}

const imports = (module: string): boolean => spawnSync(python, ["-c", `import ${module}`]).status === 0

/**
 * Stock MKL takes its AVX2 code on processors that are not Intel's, at half their speed. Built and preloaded, a function of
 * one line makes it look at what the processor can do. Gives the library, or why there is none.
 */
const mklShim = (): { readonly path: string } | { readonly missing: string } => {
  const cpu = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : ""
  if (!cpu.includes("AuthenticAMD") || !cpu.includes("avx512f")) return { missing: "not needed on this processor" }
  const path = join(scratch, "mkl_avx512.so")
  const { status } = spawnSync("cc", ["-shared", "-fPIC", "-o", path, join(peers, "mkl_avx512.c")])
  return status === 0 ? { path } : { missing: "it takes a C compiler (cc)" }
}

/** Everyone who is here, Foretoken on onnx first; and a line about everyone who is not. */
export const findContenders = (wantsSlow: boolean) => {
  const found: Array<Contender> = [foretoken("onnx", "cpu")]
  const missing: Array<string> = []
  if (spawnSync(process.execPath, ["-e", "require('@tensorflow/tfjs-node')"], { cwd: root }).status === 0) {
    found.push(foretoken("tfjs", "tensorflow"))
  } else missing.push("foretoken tfjs:tensorflow: the native binding is not installed (docs/native-tfjs.md)")
  if (!imports("torch, safetensors")) {
    missing.push(`torch: ${python} has no torch with safetensors; FORETOKEN_PYTHON names another python`)
    return { found, missing }
  }
  found.push(torch("torch eager", [], {}), torch("torch compile", ["--compile"], {}))
  const shim = mklShim()
  if ("path" in shim) {
    const env = { LD_PRELOAD: shim.path }
    found.push(torch("torch eager, MKL AVX-512", [], env), torch("torch compile, MKL AVX-512", ["--compile"], env))
  } else missing.push(`torch, MKL AVX-512: ${shim.missing}`)
  if (!wantsSlow) missing.push("trl: left out by --quick")
  else if (!existsSync(trl)) missing.push("trl: ../shared/peers/trl_step.py is not there")
  else if (!imports("trl")) missing.push(`trl: ${python} has no trl`)
  else found.push(trlStep)
  return { found, missing }
}

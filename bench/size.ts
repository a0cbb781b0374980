/**
 * Peak memory and time of what large models are used for, each in a process of its own:
 *
 *   npx node -C @foretoken/source bench/size.ts [--only score-15M,train-15M,lora-15M,score-135M,train-135M,lora-135M,score-1.1B,sample-1.1B,lora-1.1B]
 *     [--storage file,f32] [--keep DIR] [--json]
 *
 * Models of random weights are drawn first, in bf16, into DIR (a temporary directory that is removed): the shapes of stories15M,
 * SmolLM2-135M and TinyLlama-1.1B. A reading is of 256 tokens, a sampling of 2 rollouts of 8 tokens behind 64, a step of training of 2
 * documents of 128 tokens; adapters have rank 8, on every projection, and what they are put on is kept as `storage` says. `load` is the time until the weights are there, `first` and
 * `next` are those of two runs: the first one compiles. `peak` is the largest resident set of the process (VmHWM); the 1.1 B model takes
 * some 10 GB to train adapters in f32, and 6 with its base in two bytes.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import {
  adamwRule,
  Evaluator,
  freshState,
  llamaFeatures,
  loadKeptModel,
  loadModel,
  makeGenerator,
  makeLearner,
  makeProgramCache,
  makeScorer,
  Schedule,
  Supervised,
  toHuggingFace,
  trainableWeights,
  weightShapes,
  withLora
} from "@foretoken/core"
import type { KeptModel, ModelConfig } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect } from "effect"

const shapeOf = (
  layers: number,
  hiddenSize: number,
  heads: number,
  kvHeads: number,
  intermediateSize: number,
  vocabSize: number,
  tied: boolean
): ModelConfig => ({
  ...llamaFeatures,
  vocabSize,
  hiddenSize,
  intermediateSize,
  layers,
  heads,
  kvHeads,
  headDim: hiddenSize / heads,
  tieWordEmbeddings: tied,
  maxPositions: 2048,
  bos: { _tag: "one", id: 1 },
  eos: { _tag: "one", id: 2 }
})

const models: Readonly<Record<string, ModelConfig>> = {
  "15M": shapeOf(6, 288, 6, 6, 768, 32_000, true),
  "135M": shapeOf(30, 576, 9, 3, 1536, 49_152, true),
  "1.1B": shapeOf(22, 2048, 32, 4, 5632, 32_000, false)
}

type Use = "score" | "sample" | "train" | "lora"
const cases = [
  "score-15M",
  "train-15M",
  "lora-15M",
  "score-135M",
  "train-135M",
  "lora-135M",
  "score-1.1B",
  "sample-1.1B",
  "lora-1.1B"
]

interface Found {
  readonly case: string
  readonly storage: string
  readonly parameters: number
  readonly load: number
  readonly first: number
  readonly next: number
  readonly peak: number
}

const { values } = parseArgs({
  options: {
    only: { type: "string", default: cases.join(",") },
    storage: { type: "string", default: "file,f32" },
    keep: { type: "string" },
    json: { type: "boolean", default: false },
    here: { type: "string" }
  }
})

/** Random weights in bf16, written a tensor at a time: bits of normal size, some 0.02 large. */
const writeModel = async (directory: string, config: ModelConfig): Promise<void> => {
  mkdirSync(directory, { recursive: true })
  await writeFile(join(directory, "config.json"), JSON.stringify(toHuggingFace(config)))
  let end = 0
  const shapes = [...weightShapes(config)].map(([name, shape]) => {
    const begin = end
    end += 2 * shape.reduce((size, extent) => size * extent, 1)
    return { name, shape, begin, end }
  })
  const entries = shapes.map(({ name, shape, begin, end }) => [
    name,
    { dtype: "BF16", shape, data_offsets: [begin, end] }
  ])
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  const length = new DataView(new ArrayBuffer(8))
  length.setBigUint64(0, BigInt(header.length), true)
  const file = openSync(join(directory, "model.safetensors"), "w")
  for (const bytes of [new Uint8Array(length.buffer), header]) writeSync(file, bytes)
  let state = 1
  for (const { shape, begin, end } of shapes) {
    const bits = new Uint16Array((end - begin) / 2)
    // Norms are 1; others ±0.011 to ±0.031, by a multiplicative generator.
    if (shape.length === 1) bits.fill(0x3f80)
    else
      for (let i = 0; i < bits.length; i++) {
        state = Math.imul(state, 48_271) & 0x7fffffff
        bits[i] = 0x3c38 + ((state >> 8) & 0xbf) + ((state >> 20) & 1) * 0x8000
      }
    writeSync(file, new Uint8Array(bits.buffer))
  }
  closeSync(file)
}

const seconds = (since: number): number => (performance.now() - since) / 1000

const peakBytes = (): number => {
  const status = existsSync("/proc/self/status") ? readFileSync("/proc/self/status", "utf8") : ""
  const found = /VmHWM:\s*(\d+) kB/.exec(status)
  return 1024 * (found === null ? process.resourceUsage().maxRSS : Number(found[1]))
}

const tokens = (count: number, vocabSize: number): Int32Array =>
  Int32Array.from({ length: count }, (_, i) => 3 + ((i * 7919) % (vocabSize - 3)))

/** One use of a model, twice; in a process of its own. */
const useHere = (use: Use, directory: string, storage: string) =>
  Effect.gen(function* () {
    const began = performance.now()
    const programs = yield* makeProgramCache
    if (use === "train" || use === "lora") {
      const stored = yield* storage === "file" ? loadKeptModel(directory) : loadModel(directory)
      const update = yield* training(stored, directory, use === "lora")
      return yield* twice(seconds(began), update)
    }
    const { config, weights }: KeptModel = yield* storage === "file" ? loadKeptModel(directory) : loadModel(directory)
    const resident = yield* Evaluator.moveWeights(weights)
    const load = seconds(began)
    if (use === "score") {
      const { score } = yield* makeScorer(config, programs)
      const rows = { documents: 1, length: 256, tokens: tokens(256, config.vocabSize) }
      return yield* twice(load, score(resident, rows))
    }
    const sampling = { _tag: "temperature", temperature: 1 } as const
    const { generate } = yield* makeGenerator(config, { groupSize: 2, maxTokens: 8, sampling, stop: [] }, programs)
    const request = {
      trunk: { documents: 1, length: 64, tokens: tokens(64, config.vocabSize) },
      positions: 1,
      anchors: Int32Array.of(64),
      tail: Int32Array.of(5),
      uniforms: new Float32Array(16).fill(0.5)
    }
    return yield* twice(load, generate(resident, request))
  }).pipe(Effect.scoped, Effect.provide(Onnx.layer({ device: "cpu" })))

const twice = Effect.fnUntraced(function* <A, E, R>(load: number, run: Effect.Effect<A, E, R>) {
  const times: Array<number> = []
  for (let i = 0; i < 2; i++) {
    const start = performance.now()
    yield* run
    times.push(seconds(start))
  }
  return { load, first: times[0], next: times[1], peak: peakBytes() }
})

/** A step of next-token prediction, of all weights or of adapters. */
const training = Effect.fnUntraced(function* (stored: KeptModel, directory: string, adapters: boolean) {
  const { config, weights } = adapters ? yield* Effect.fromResult(withLora(stored, directory, { rank: 8 })) : stored
  const optimizer = { rule: adamwRule({ learningRate: 1e-5 }), schedule: Schedule.constant(1), maxNorm: 1 }
  const trainable = yield* Effect.fromResult(trainableWeights(config, []))
  const programs = yield* makeProgramCache
  const learner = yield* makeLearner({
    config,
    weights,
    trainable,
    optimizer,
    state: freshState,
    programs,
    remember: "layers"
  })
  const documents = [0, 1].map((id) => ({ id: String(id), tokens: tokens(128, config.vocabSize) }))
  return learner.update([Supervised.nextTokenBatch({ head: new Int32Array(0) }, documents)])
})

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`

const main = async (): Promise<void> => {
  const root = values.keep ?? mkdtempSync(join(tmpdir(), "foretoken-size-"))
  const found: Array<Found> = []
  try {
    for (const name of values.only.split(",")) {
      const [use, size] = name.split("-")
      const config = models[size]
      if (config === undefined || !["score", "sample", "train", "lora"].includes(use))
        throw new Error(`no case is called ${name}; there are ${cases.join(", ")}`)
      const directory = join(root, size)
      if (!existsSync(directory)) await writeModel(directory, config)
      const parameters = [...weightShapes(config).values()].reduce(
        (sum, shape) => sum + shape.reduce((a, b) => a * b, 1),
        0
      )
      const storages = use === "train" ? ["f32"] : values.storage.split(",")
      for (const storage of storages) {
        const child = spawnSync(
          process.execPath,
          [
            "-C",
            "@foretoken/source",
            fileURLToPath(import.meta.url),
            "--here",
            JSON.stringify([use, directory, storage])
          ],
          { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 2 ** 26 }
        )
        if (child.status !== 0) throw new Error(`${name} with ${storage} ended with ${child.status ?? child.signal}`)
        const row: Found = { case: name, storage, parameters, ...JSON.parse(child.stdout) }
        found.push(row)
        if (values.json) continue
        const { load, first, next, peak } = row
        const bytes = `${(parameters / 1e6).toFixed(0)} M parameters (${gibibytes(4 * parameters)} in f32)`
        process.stdout.write(
          `${name.padEnd(12)} ${storage.padEnd(5)} peak ${gibibytes(peak)}  load ${load.toFixed(1)} s  first ${first.toFixed(1)} s  next ${next.toFixed(1)} s  ${bytes}\n`
        )
      }
    }
    if (values.json) process.stdout.write(`${JSON.stringify(found)}\n`)
  } finally {
    if (values.keep === undefined) rmSync(root, { recursive: true, force: true })
  }
}

if (values.here === undefined) await main()
else {
  const [use, directory, storage]: [Use, string, string] = JSON.parse(values.here)
  process.stdout.write(JSON.stringify(await Effect.runPromise(useHere(use, directory, storage))))
}

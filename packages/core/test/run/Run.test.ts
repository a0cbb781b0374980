import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { HostF32 } from "../../src/tensor/HostTensor.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { presetConfig } from "../../src/model/presets.ts"
import { initialWeights, weightsHash } from "../../src/model/weights.ts"
import {
  bestCheckpoint,
  latestCheckpoint,
  listCheckpoints,
  loadCheckpoint,
  saveCheckpoint
} from "../../src/run/Checkpoint.ts"
import type { Checkpoint } from "../../src/run/Checkpoint.ts"
import { describeMachine } from "../../src/run/Manifest.ts"
import { checkpointsDirectory, createRun, openRun } from "../../src/run/Run.ts"
import type { Run } from "../../src/run/Run.ts"
import { temporaryDirectory, withFullDisk } from "../temporary.ts"

const root = temporaryDirectory()
let made = 0
const fresh = () => join(root, "runs", `${made++}`)

const manifest = {
  startedAt: "2025-01-01T00:00:00.000Z",
  seed: 7,
  backend: "reference",
  config: { learningRate: 1e-3, corpus: ["a", null] },
  versions: { node: process.version },
  machine: describeMachine()
}
const result = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(Effect.result(effect))
const lineOf = async (effect: Effect.Effect<unknown, Error>) =>
  Result.getOrThrow(Result.flip(await result(effect))).message
const newRun = (): Promise<Run> => Effect.runPromise(createRun(fresh(), manifest))

describe("a run directory", () => {
  it("is opened with the manifest it was made with", async () => {
    const run = await newRun()
    expect(await Effect.runPromise(openRun(run.directory))).toEqual(run)
    expect(run.manifest).toEqual({ format: 1, id: run.directory.split("/").at(-1), ...manifest })
    expect(readdirSync(run.directory).toSorted()).toEqual(["checkpoints", "manifest.json"])
  })

  it("is never overwritten; an empty directory may be used", async () => {
    const { directory } = await newRun()
    appendFileSync(join(directory, "metrics.jsonl"), "{}\n")
    expect(await lineOf(createRun(directory, manifest))).toBe(
      `${directory}: already holds something; a run is never overwritten, choose another directory`
    )
    expect(readFileSync(join(directory, "metrics.jsonl"), "utf8")).toBe("{}\n")
    const empty = fresh()
    mkdirSync(empty)
    expect((await Effect.runPromise(createRun(empty, manifest))).directory).toBe(empty)
  })

  it("is not there where the disk is full", async () => {
    const directory = fresh()
    const line = await withFullDisk(0, () => lineOf(createRun(directory, manifest)))
    expect(line).toBe(`${join(directory, "manifest.json")}: the disk is full; nothing was written`)
    expect(existsSync(directory)).toBe(false)
    expect(readdirSync(join(root, "runs")).filter((name) => name.startsWith("."))).toEqual([])
  })

  it("without a manifest, or with a broken one, is refused in one line", async () => {
    const { directory } = await newRun()
    const path = join(directory, "manifest.json")
    for (const broken of ["", "{", "{}", '{"format":2}', "[]"]) {
      writeFileSync(path, broken)
      expect(await lineOf(openRun(directory))).toMatch(/^[^\n]*manifest\.json: [^\n]+$/)
    }
    expect(await lineOf(openRun(join(root, "none")))).toMatch(/manifest\.json: no such file or directory$/)
  })
})

const config = Result.getOrThrow(
  presetConfig("nano", { vocabSize: 8, bos: { _tag: "none" }, eos: { _tag: "one", id: 0 } })
)
const checkpoint = (step: number, part: Partial<Checkpoint> = {}): Checkpoint => {
  const weights = initialWeights(config, step)
  return {
    step,
    model: { config, weights, tokenizerFiles: { "tokenizer.json": Buffer.from("{}") } },
    weightsHash: weightsHash(weights),
    optimizer: { "adamw.m/model.norm.weight": HostTensor.f32([2], [1, -0]) },
    validation: { _tag: "unmeasured" },
    progress: { epoch: 1 },
    ...part
  }
}
const save = (run: Run, part: Checkpoint) => Effect.runPromise(saveCheckpoint(run, part))
const words = (tensor: HostF32) => [...new Uint32Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length)]

describe("a checkpoint", () => {
  it("is loaded bit for bit: weights, moments, NaN payloads and negative zeros", async () => {
    const run = await newRun()
    const patterns = fc.array(fc.integer(), { minLength: 32, maxLength: 32 })
    let step = 0
    await fc.assert(
      fc.asyncProperty(patterns, patterns, async (weightBits, momentBits) => {
        const tensor = (bits: ReadonlyArray<number>) =>
          HostTensor.f32([32], new Float32Array(Int32Array.from(bits).buffer))
        const base = checkpoint(step++)
        const weights = { ...base.model.weights, "model.norm.weight": tensor(weightBits) }
        const model = { ...base.model, weights }
        const saved = { ...base, model, weightsHash: weightsHash(weights), optimizer: { moment: tensor(momentBits) } }
        const { directory } = await save(run, saved)
        const back = await Effect.runPromise(loadCheckpoint(directory))
        expect(weightsHash(back.model.weights)).toBe(weightsHash(weights))
        expect(words(back.model.weights["model.norm.weight"])).toEqual(words(tensor(weightBits)))
        expect(words(back.optimizer["moment"])).toEqual(words(tensor(momentBits)))
        expect([back.step, back.progress, back.validation, back.model.config]).toEqual([
          saved.step,
          saved.progress,
          saved.validation,
          config
        ])
      }),
      { numRuns: 15 }
    )
  })

  it("may come without an optimizer's moments", async () => {
    const { directory } = await save(await newRun(), checkpoint(1, { optimizer: {} }))
    expect((await Effect.runPromise(loadCheckpoint(directory))).optimizer).toEqual({})
  })

  it("is found as the latest by number, not by name, and as the best by its validation value", async () => {
    const run = await newRun()
    expect(await Effect.runPromise(latestCheckpoint(run))).toMatchObject({ _tag: "None" })
    const measured = (value: number) => ({ validation: { _tag: "measured" as const, metric: "accuracy", value } })
    await save(run, checkpoint(100))
    await save(run, checkpoint(9))
    expect(await Effect.runPromise(bestCheckpoint(run))).toMatchObject({ _tag: "None" })
    await save(run, checkpoint(20, measured(0.5)))
    await save(run, checkpoint(30, measured(0.7)))
    await save(run, checkpoint(40, measured(0.7)))
    mkdirSync(join(checkpointsDirectory(run), ".50.partial-x"))
    expect((await Effect.runPromise(listCheckpoints(run))).map(({ step }) => step)).toEqual([9, 20, 30, 40, 100])
    expect(await Effect.runPromise(latestCheckpoint(run))).toMatchObject({ value: { step: 100 } })
    expect(await Effect.runPromise(bestCheckpoint(run))).toMatchObject({ value: { step: 30 } })
  })

  it("is whole or not there, whichever write finds the disk full, and the run goes on from the one before", async () => {
    const run = await newRun()
    await save(run, checkpoint(1))
    for (let writes = 0; ; writes++) {
      const saved = await withFullDisk(writes, () => result(saveCheckpoint(run, checkpoint(2))))
      if (Result.isSuccess(saved)) break
      expect(saved.failure.message).toMatch(/checkpoints\/2\/[a-zA-Z0-9_.]+: the disk is full; nothing was written$/)
      expect(readdirSync(checkpointsDirectory(run))).toEqual(["1"])
    }
    expect(readdirSync(checkpointsDirectory(run)).toSorted()).toEqual(["1", "2"])
  })

  it("is never overwritten", async () => {
    const run = await newRun()
    await save(run, checkpoint(1))
    expect(await lineOf(saveCheckpoint(run, checkpoint(1)))).toMatch(/checkpoints\/1: already exists/)
  })

  it("whose weights changed after it was saved is refused", async () => {
    const { directory } = await save(await newRun(), checkpoint(1))
    const path = join(directory, "model.safetensors")
    const bytes = readFileSync(path)
    bytes[bytes.length - 1] ^= 1
    writeFileSync(path, bytes)
    expect(await lineOf(loadCheckpoint(directory))).toBe(
      `${path}: is damaged: its hash is not the one that SHA256SUMS has`
    )
  })
})

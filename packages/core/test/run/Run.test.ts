import { createHash } from "node:crypto"
import { appendFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Option, Result } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { HostF32 } from "../../src/tensor/HostTensor.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { presetConfig } from "../../src/model/presets.ts"
import { inF32, initialWeights, weightsHash } from "../../src/model/weights.ts"
import {
  bestCheckpoint,
  latestCheckpoint,
  latestGood,
  listCheckpoints,
  loadCheckpoint,
  saveCheckpoint
} from "../../src/run/Checkpoint.ts"
import type { Checkpoint, CheckpointEntry } from "../../src/run/Checkpoint.ts"
import { describeMachine } from "../../src/run/Manifest.ts"
import { prune, surplus } from "../../src/run/Retention.ts"
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
    others: {},
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
        expect(words(inF32(back.model.weights)["model.norm.weight"])).toEqual(words(tensor(weightBits)))
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

  it("is verified on load: any changed byte of any file is found and named, and so is a file too many or too few", async () => {
    const run = await newRun()
    const { directory, files } = await save(run, checkpoint(1))
    const names = readdirSync(directory).toSorted()
    expect([...Object.keys(files), "SHA256SUMS"].toSorted()).toEqual(names)
    const reason = () => lineOf(loadCheckpoint(directory))
    let flips = 0
    for (const name of names) {
      const path = join(directory, name)
      const bytes = readFileSync(path)
      for (let at = 0; at < bytes.length; at += Math.max(1, Math.floor(bytes.length / 20)), flips++) {
        writeFileSync(path, bytes.with(at, bytes[at] ^ (1 << (at & 7))))
        expect(await reason()).toMatch(/^[^\n]*checkpoints\/1\/[^\n]+$/)
      }
      writeFileSync(path, bytes.subarray(0, -1))
      expect(await reason()).toMatch(/^[^\n]*checkpoints\/1\/[^\n]+$/)
      rmSync(path)
      expect(await reason()).toBe(`${path}: no such file or directory`)
      writeFileSync(path, bytes)
    }
    expect(flips).toBeGreaterThan(100)
    writeFileSync(join(directory, "vocab.json"), "{}")
    expect(await reason()).toBe(`${join(directory, "SHA256SUMS")}: does not list "vocab.json"`)
    rmSync(join(directory, "vocab.json"))
    await Effect.runPromise(loadCheckpoint(directory))
  })

  it("has checksums that sha256sum agrees with", async () => {
    const { directory } = await save(await newRun(), checkpoint(1))
    const lines = readFileSync(join(directory, "SHA256SUMS"), "utf8").trimEnd().split("\n")
    for (const line of lines) {
      const [sum, name] = line.split("  ")
      expect(
        createHash("sha256")
          .update(readFileSync(join(directory, name)))
          .digest("hex")
      ).toBe(sum)
    }
    expect(lines.length).toBe(readdirSync(directory).length - 1)
  })

  it("that is damaged gives way to the newest one before that is not, with a line for each", async () => {
    const run = await newRun()
    for (const step of [10, 20, 30, 40]) await save(run, checkpoint(step))
    const good = (through?: number) => Effect.runPromise(latestGood(run, through))
    expect(await good()).toMatchObject({ found: { value: { step: 40 } }, said: [] })
    expect(await good(39)).toMatchObject({ found: { value: { step: 30 } }, said: [] })
    const at = (step: number, name: string) => join(checkpointsDirectory(run), String(step), name)
    appendFileSync(at(40, "model.safetensors"), "x")
    writeFileSync(at(30, "state.json"), "{")
    const { found, said } = await good()
    expect(Option.getOrThrow(found)).toMatchObject({ step: 20, directory: join(checkpointsDirectory(run), "20") })
    expect(said).toEqual([
      `${at(40, "model.safetensors")}: is damaged: its hash is not the one that SHA256SUMS has; the checkpoint of step 40 is passed over for the one before`,
      `${at(30, "state.json")}: is damaged: its hash is not the one that SHA256SUMS has; the checkpoint of step 30 is passed over for the one before`
    ])
    // Listing does not stop at what cannot be read.
    expect((await Effect.runPromise(listCheckpoints(run))).map(({ step }) => step)).toEqual([10, 20, 40])
    for (const step of [10, 20]) rmSync(at(step, "config.json"))
    expect(await good()).toMatchObject({ found: { _tag: "None" }, said: { length: 4 } })
  })
})

describe("what of the checkpoints is kept", () => {
  const entries = fc
    .uniqueArray(fc.record({ step: fc.nat(40), value: fc.option(fc.constantFrom(0, 0.5, 1)) }), {
      selector: ({ step }) => step
    })
    .map((all) =>
      all
        .toSorted((a, b) => a.step - b.step)
        .map(({ step, value }): CheckpointEntry => ({
          step,
          directory: String(step),
          weightsHash: "",
          validation: value === null ? { _tag: "unmeasured" } : { _tag: "measured", metric: "accuracy", value }
        }))
    )

  it("are the newest, the best and those of every so many steps; nothing else, and never none", () => {
    fc.assert(
      fc.property(entries, fc.integer({ min: 0, max: 4 }), fc.constantFrom(1, 3, 10, Infinity), (all, last, every) => {
        const gone = new Set(surplus(all, { last, every }))
        const kept = all.filter((entry) => !gone.has(entry))
        expect(kept.slice(-Math.max(1, last))).toEqual(all.slice(-Math.max(1, last)))
        const values = all.flatMap(({ validation }) => (validation._tag === "measured" ? [validation.value] : []))
        const isBest = ({ validation }: CheckpointEntry) =>
          validation._tag === "measured" && validation.value === Math.max(...values)
        expect(all.filter(isBest).slice(0, 1)).toEqual(kept.filter(isBest).slice(0, 1))
        for (const entry of gone) expect(entry.step % every === 0).toBe(false)
        const spared = kept.slice(0, -Math.max(1, last)).filter((entry) => entry.step % every !== 0)
        expect(spared.length).toBeLessThanOrEqual(1)
        expect(spared.every(isBest)).toBe(true)
      })
    )
  })

  it("is what stands on the disk after pruning, also where one of them is damaged", async () => {
    const run = await newRun()
    for (const step of [1, 2, 3, 4]) await save(run, checkpoint(step))
    writeFileSync(join(checkpointsDirectory(run), "2", "state.json"), "{")
    await Effect.runPromise(prune(run, { last: 1, every: 3 }))
    expect(readdirSync(checkpointsDirectory(run)).toSorted()).toEqual(["2", "3", "4"])
  })
})

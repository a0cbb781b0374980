import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { merged, withLora } from "../../src/model/adapters.ts"
import { isAdapter } from "../../src/model/Lora.ts"
import type { KeptModel } from "../../src/model/ModelDirectory.ts"
import { loadModel, loadModelOf } from "../../src/model/ModelDirectory.ts"
import { readSafetensors } from "../../src/model/safetensors.ts"
import { narrowBF16, narrowF16 } from "../../src/model/narrow.ts"
import { inF32, weightsHash } from "../../src/model/weights.ts"
import * as Optimizer from "../../src/pipeline/Optimizer.ts"
import { loadTrained } from "../../src/pipeline/policySource.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import * as Reward from "../../src/reward/index.ts"
import * as Loss from "../../src/rl/loss.ts"
import { loadCheckpoint } from "../../src/run/Checkpoint.ts"
import { Disk } from "../../src/storage/Disk.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { temporaryDirectory } from "../temporary.ts"
import { pipelineOf, policy, resume, run } from "./fixtures.ts"
import { mortalDisk } from "./mortalDisk.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

const stored = Result.getOrThrow(withLora(policy.stored, "the fixture", { rank: 2, seed: 5 }))
/** A run that asks its model, and is ahead by a step: its checkpoints hold weights of three kinds. */
const lora = pipelineOf({
  policy: { ...policy, stored },
  lag: 1,
  optimizer: Optimizer.make({ learningRate: 0.02, loss: Loss.truncated({ cap: 2 }) }),
  verifier: Verifier.make(Reward.informationGain(), { decay: 0.5 })
})

describe("a run of adapters", () => {
  it.live("moves them alone, and leaves checkpoints of nothing else", () =>
    Effect.gen(function* () {
      const { last, weightsHash: hash } = yield* run(lora, { run: at("once"), steps: 2, checkpointEvery: 1 })
      const files = readdirSync(last.directory)
      expect(files).toEqual(expect.arrayContaining(["adapter_config.json", "adapter_model.safetensors", "SHA256SUMS"]))
      expect(files.filter((name) => /^(model|config|generation)/.test(name))).toEqual([])
      for (const name of files.filter((file) => file.endsWith(".safetensors"))) {
        const tensors = Object.keys(yield* readSafetensors(join(last.directory, name)))
        expect(
          tensors.filter((tensor) => !/\.lora_[AB]\.weight(\.[mv])?$/.test(tensor)),
          name
        ).toEqual([])
      }
      const { model } = yield* loadCheckpoint(last.directory, policy.stored)
      expect(weightsHash(model.weights)).toBe(hash)
      const changed = Object.keys(stored.weights).filter(
        (name) => weightsHash({ x: stored.weights[name] }) !== weightsHash({ x: model.weights[name] })
      )
      expect(changed.toSorted()).toEqual(Object.keys(stored.weights).filter(isAdapter).toSorted())
      // The model that it says is another one than the base.
      expect(weightsHash(merged(yield* loadModelOf(last.directory, policy.stored)).weights)).not.toBe(
        weightsHash(policy.stored.weights)
      )
    })
  )

  it.live("that dies goes on to the same bits", () =>
    Effect.gen(function* () {
      const options = { steps: 4, checkpointEvery: 1 }
      const { disk: whole, changes } = yield* mortalDisk(Infinity)
      const undisturbed = yield* Effect.provideService(run(lora, { ...options, run: at("whole") }), Disk, whole)
      for (const share of [0.5, 0.9]) {
        const name = `died-${share}`
        const { disk } = yield* mortalDisk(Math.floor(changes.length * share))
        yield* Effect.flip(Effect.provideService(run(lora, { ...options, run: at(name) }), Disk, disk))
        const { weightsHash: hash, from } = yield* resume(lora, { run: at(name) })
        expect(from).toBeGreaterThan(0)
        expect(hash).toBe(undisturbed.weightsHash)
      }
    })
  )

  it.live("is refused with other adapters than it began with", () =>
    Effect.gen(function* () {
      const begun = at("begun")
      yield* run(lora, { run: begun, steps: 1 })
      const other = Result.getOrThrow(withLora(policy.stored, "the fixture", { rank: 3, seed: 5 }))
      const refused = yield* Effect.flip(resume({ ...lora, policy: { ...policy, stored: other } }, { run: begun }))
      expect(refused.message).toMatch(/cannot go on as it began: policy\./)
      const elsewhere = Result.getOrThrow(withLora(policy.stored, "moved", { rank: 2, seed: 5 }))
      const { hadEnded } = yield* resume({ ...lora, policy: { ...policy, stored: elsewhere } }, { run: begun })
      expect(hadEnded).toBe(true)
    })
  )
})

/** A model whose weights are floats of two bytes, as its file may have them, and the same in f32. */
const inTwoBytes = (of: KeptModel): KeptModel => ({
  ...of,
  weights: Object.fromEntries(
    Object.entries(inF32(of.weights)).map(([name, { shape, data }], i) => [
      name,
      i % 2 === 0 ? HostTensor.half("bf16", shape, narrowBF16(data)) : HostTensor.half("f16", shape, narrowF16(data))
    ])
  )
})

describe("a base that is kept in two bytes", () => {
  const kept = inTwoBytes(policy.stored)
  const wide = { ...kept, weights: inF32(kept.weights) }
  const withAdapters = (base: KeptModel) => Result.getOrThrow(withLora(base, "the fixture", { rank: 2, seed: 5 }))
  const frozen = Optimizer.make({ learningRate: 0.01, frozen: ["model.embed_tokens", "*.mlp"] })
  const ways = {
    adapters: (base: KeptModel) => ({ ...lora, policy: { ...policy, stored: withAdapters(base) } }),
    "frozen layers": (base: KeptModel) => ({
      ...lora,
      policy: { ...policy, stored: base },
      optimizer: frozen,
      lag: 0
    })
  }

  for (const [name, pipeline] of Object.entries(ways)) {
    it.live(`comes to the bits of one in f32, goes on to them, and writes the same files: ${name}`, () =>
      Effect.gen(function* () {
        const options = { steps: 3, checkpointEvery: 1 }
        const as = (what: string) => at(`${what} of ${name}`)
        const expected = yield* run(pipeline(wide), { ...options, run: as("wide") })
        const { disk: whole, changes } = yield* mortalDisk(Infinity)
        const found = yield* Effect.provideService(run(pipeline(kept), { ...options, run: as("kept") }), Disk, whole)
        expect(found.weightsHash).toBe(expected.weightsHash)
        const [sums, others] = [expected, found].map(({ last }) =>
          readFileSync(join(last.directory, "SHA256SUMS"), "utf8")
        )
        const ofWeights = (text: string) => text.split("\n").filter((line) => line.endsWith("safetensors"))
        expect(ofWeights(others)).toEqual(ofWeights(sums))

        const { disk } = yield* mortalDisk(Math.floor(changes.length * 0.8))
        const died = { ...options, run: as("died") }
        yield* Effect.flip(Effect.provideService(run(pipeline(kept), died), Disk, disk))
        const resumed = yield* resume(pipeline(kept), { run: as("died") })
        expect(resumed.from).toBeGreaterThan(0)
        expect(resumed.weightsHash).toBe(expected.weightsHash)
      })
    )
  }

  it.effect("stays so in the weights that an update gives, and only what is trained is in f32", () =>
    Effect.gen(function* () {
      const loaded = yield* loadTrained({ ...policy, stored: kept }, ["model.embed_tokens"])
      const types = Object.entries(loaded.stored.weights).map(([name, { dtype }]) => [name, dtype === "f32"] as const)
      expect(types.filter(([, isWide]) => !isWide).map(([name]) => name)).toEqual(["model.embed_tokens.weight"])
      expect(loaded.stored.weights["model.embed_tokens.weight"]).toBe(kept.weights["model.embed_tokens.weight"])
    })
  )
})

describe("frozen layers", () => {
  it.live("stay as they are, and what freezes nothing is refused before anything is on disk", () =>
    Effect.gen(function* () {
      const of = (frozen: ReadonlyArray<string>) =>
        pipelineOf({ optimizer: Optimizer.make({ learningRate: 0.01, frozen }) })
      const { last } = yield* run(of(["model.embed_tokens", "*.mlp"]), { run: at("frozen"), steps: 1 })
      const { weights } = yield* loadModel(last.directory)
      for (const [name, value] of Object.entries(policy.stored.weights)) {
        const isFrozen = /embed_tokens|mlp/.test(name)
        expect(weightsHash({ x: weights[name] }) === weightsHash({ x: value }), name).toBe(isFrozen)
      }
      const refused = yield* Effect.flip(run(of(["model.layers.7"]), { run: at("refused") }))
      expect(refused.message).toContain('no weight of this model is called "model.layers.7"')
      expect(readdirSync(directory)).not.toContain("refused")
    })
  )
})

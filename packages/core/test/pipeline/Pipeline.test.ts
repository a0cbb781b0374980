import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { weightsHash } from "../../src/model/weights.ts"
import type { VerifiedUnit } from "../../src/pipeline/messages.ts"
import * as ReplayBuffer from "../../src/pipeline/ReplayBuffer.ts"
import * as Reward from "../../src/reward/Reward.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import { loadCheckpoint } from "../../src/run/Checkpoint.ts"
import { Manifest } from "../../src/run/Manifest.ts"
import { Sample } from "../../src/run/Samples.ts"
import { temporaryDirectory } from "../temporary.ts"
import { jsonLines, pipelineOf, policy, run } from "./fixtures.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

describe("a pipeline", () => {
  it.live("runs, and leaves a manifest, metrics, samples and a checkpoint that loads back bit for bit", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const onStep = ({ step }: { readonly step: number }) => Effect.sync(() => void seen.push(step))
      const result = yield* run(pipelineOf(), { run: at("whole"), onStep })
      expect(result).toMatchObject({ run: at("whole"), steps: 2, ended: { _tag: "Done" } })
      expect(result.weightsHash).not.toBe(weightsHash(policy.stored.weights))
      expect(result.best).toEqual(result.last)
      expect(seen).toEqual([1, 2])
      expect(readdirSync(at("whole")).toSorted()).toEqual([
        "checkpoints",
        "ledger",
        "lock",
        "manifest.json",
        "metrics.jsonl",
        "samples.jsonl"
      ])

      const manifest = Schema.decodeUnknownSync(Schema.fromJsonString(Manifest))(
        readFileSync(join(at("whole"), "manifest.json"), "utf8")
      )
      expect(manifest).toMatchObject({ id: "whole", seed: 7, backend: "reference" })
      expect(manifest.config).toMatchObject({
        steps: 2,
        corpus: { name: "dials" },
        template: { name: "compact" },
        verifier: { reward: "even" },
        sampler: { groupSize: 3, maxTokens: 6 }
      })

      const samples = jsonLines(at("whole"), "samples.jsonl").map((line) => Schema.decodeUnknownSync(Sample)(line))
      expect(new Set(samples.map(({ step }) => step))).toEqual(new Set([1, 2]))
      expect(samples.every(({ context, truth }) => context.length > 0 && truth.length > 0)).toBe(true)

      const checkpoint = yield* loadCheckpoint(result.last.directory)
      expect(checkpoint.step).toBe(2)
      expect(weightsHash(checkpoint.model.weights)).toBe(result.weightsHash)
      expect(checkpoint.progress).toMatchObject({ step: 2, updates: 2, problems: { unit: 8 }, earlier: [] })
      expect(Object.keys(checkpoint.optimizer)).toContain("model.norm.weight.m")
    })
  )

  it.live("reports what its rollouts were and that sampler and trainer agree about them", () =>
    Effect.gen(function* () {
      const result = yield* run(pipelineOf(), { run: at("metrics") })
      const rows = jsonLines(at("metrics"), "metrics.jsonl")
      expect(rows.map(({ step }) => step)).toEqual([1, 2])
      expect(rows[1]).toEqual({ step: 2, ...result.metrics })
      for (const row of rows) {
        // The policy that samples is the one that learns: ratios are 1 but for rounding to f32.
        expect(row["logprob_gap/max"]).toBeLessThan(1e-5)
        expect(row["ratio/mean"]).toBeCloseTo(1, 5)
        expect(row).toMatchObject({ clipfrac: 0, policy_age: 0, "groups/stale": 0, "groups/sampled": 8 })
        expect(row["approx_kl"]).toBeLessThan(1e-6)
        expect(row["reward/mean"]).toBeGreaterThan(0.2)
        expect(row["grad_norm"]).toBeGreaterThan(0)
        expect(row["actors/restarted"]).toBe(0)
        expect(row["seconds/ledger"]).toBeGreaterThan(0)
        expect(row["completion/tokens"]).toBeLessThanOrEqual(6)
        const entropy = Number(row["entropy"])
        expect(entropy).toBeGreaterThan(3)
        expect(entropy).toBeLessThan(Math.log(policy.stored.config.vocabSize) + 1)
      }
    })
  )

  it.live(
    "gives the same weights for the same seed, whatever the number of samplers, and others for another seed",
    () =>
      Effect.gen(function* () {
        const hash = (name: string, options: { readonly samplers?: number; readonly seed?: number }) =>
          Effect.map(run(pipelineOf(), { run: at(name), ...options }), ({ weightsHash }) => weightsHash)
        const first = yield* hash("seed-7", {})
        expect(yield* hash("seed-7-again", {})).toBe(first)
        expect(yield* hash("two-samplers", { samplers: 2 })).toBe(first)
        expect(yield* hash("four-samplers", { samplers: 4 })).toBe(first)
        expect(yield* hash("seed-8", { seed: 8 })).not.toBe(first)
        const shown = (name: string) => readFileSync(join(at(name), "samples.jsonl"), "utf8")
        expect(shown("four-samplers")).toBe(shown("seed-7"))
      })
  )

  it.live("keeps the best checkpoint by validation and the last one", () =>
    Effect.gen(function* () {
      const values = [0.2, 0.9, 0.5]
      const measure = ({ updates }: { readonly updates: number }) => Effect.succeed(values[updates - 1])
      const validation = [{ metric: "accuracy", every: 1, measure }]
      const { best, last } = yield* run(pipelineOf({ validation }), { run: at("best"), steps: 3 })
      expect(best).toMatchObject({ step: 2, validation: { _tag: "measured", metric: "accuracy", value: 0.9 } })
      expect(last).toMatchObject({ step: 3, validation: { _tag: "measured", metric: "accuracy", value: 0.5 } })
      expect(readdirSync(join(at("best"), "checkpoints")).toSorted()).toEqual(["2", "3"])
      const measured = jsonLines(at("best"), "metrics.jsonl").map((row) => row["validation/accuracy"])
      expect(measured).toEqual(values)
    })
  )

  it.live("takes the last checkpoint for the best where nothing is measured, and saves those that are due", () =>
    Effect.gen(function* () {
      const { best, last } = yield* run(pipelineOf(), { run: at("every"), steps: 3, checkpointEvery: 2 })
      expect(last.step).toBe(3)
      expect(best).toEqual(last)
      expect(readdirSync(join(at("every"), "checkpoints")).toSorted()).toEqual(["2", "3"])
    })
  )

  it.live("ends where dynamic sampling finds no signal, with a checkpoint and the reason", () =>
    Effect.gen(function* () {
      const constant = Reward.pure("constant", () => 1)
      const pipeline = pipelineOf({
        verifier: Verifier.make(constant),
        dynamicSampling: { fromStep: 1, maxAttempts: 2, minGroups: 1 }
      })
      const result = yield* run(pipeline, { run: at("no-signal"), steps: 5 })
      expect(result.steps).toBe(1)
      expect(result.ended).toMatchObject({ _tag: "NoSignal", reason: expect.stringMatching(/0 of 16 groups/) })
      expect(result.weightsHash).toBe(weightsHash(policy.stored.weights))
      const checkpoint = yield* loadCheckpoint(result.last.directory)
      expect(weightsHash(checkpoint.model.weights)).toBe(result.weightsHash)
      expect(jsonLines(at("no-signal"), "metrics.jsonl")).toMatchObject([{ step: 1, "update/skipped": 1 }])
    })
  )

  it.live("of no steps is a checkpoint of the model it starts from", () =>
    Effect.gen(function* () {
      const { weightsHash: hash, last } = yield* run(pipelineOf(), { run: at("none"), steps: 0 })
      expect(hash).toBe(weightsHash(policy.stored.weights))
      expect(last).toMatchObject({ step: 0, weightsHash: hash })
    })
  )

  /** A buffer that leaves the first unit out, and says of `stale` groups that it has; every second unit of it is older than it is. */
  const leaving = (stale: number): ReplayBuffer.ReplayBufferStage => {
    const { protocol, settings, make } = ReplayBuffer.make()
    const Take = ({ units }: { readonly units: ReadonlyArray<VerifiedUnit> }) => ({
      stale,
      units: units.slice(1).map((unit) => ({ ...unit, policyUpdates: unit.policyUpdates - (unit.index % 2) }))
    })
    return {
      protocol,
      settings,
      make: (context) =>
        Effect.map(make(context), (own) => ({ ...own, Take: (asked) => Effect.map(own.Take(asked), Take) }))
    }
  }

  it.live("reports the mean age of what it learns from, and what the buffer found too old", () =>
    Effect.gen(function* () {
      const { metrics } = yield* run(pipelineOf({ buffer: leaving(2) }), { run: at("age"), steps: 1 })
      expect(metrics).toMatchObject({ policy_age: 2 / 3, "groups/stale": 2 })
    })
  )

  it.live("ends rather than learn from less than was sampled, where the buffer does not say what it left out", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run(pipelineOf({ buffer: leaving(0) }), { run: at("lost"), steps: 1 }))
      expect(error).toMatchObject({ _tag: "GroupsLost", step: 1, put: 8, taken: 6, stale: 0 })
    })
  )
})

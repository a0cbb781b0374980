import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Corpus from "../../src/data/Corpus.ts"
import * as Optimizer from "../../src/pipeline/Optimizer.ts"
import * as ReplayBuffer from "../../src/pipeline/ReplayBuffer.ts"
import * as Sampler from "../../src/pipeline/Sampler.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import * as Reward from "../../src/reward/index.ts"
import { temporaryDirectory } from "../temporary.ts"
import { dials, isThere, jsonLines, pipelineOf, run } from "./fixtures.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

/** A sampler whose n-th message of this kind (counting from 1, over all samplers and restarts) dies. */
const flaky = (request: "Sync" | "Sample", nth: number): Sampler.SamplerStage => {
  const { protocol, settings, make } = Sampler.make({ groupSize: 3, temperature: 1, maxTokens: 6 })
  let count = 0
  const dies = () => (++count === nth ? Effect.die(new Error("a cosmic ray")) : Effect.void)
  return {
    protocol,
    settings,
    make: (context) =>
      Effect.map(make(context), (handlers) => ({
        Sync: (payload) => Effect.andThen(request === "Sync" ? dies() : Effect.void, handlers.Sync(payload)),
        Sample: (payload) => Effect.andThen(request === "Sample" ? dies() : Effect.void, handlers.Sample(payload))
      }))
  }
}

describe("a pipeline in which something goes wrong", () => {
  it.live("comes to the same weights when a sampler crashes, and counts the restart", () =>
    Effect.gen(function* () {
      const whole = yield* run(pipelineOf(), { run: at("whole") })
      for (const [name, samplers, sampler] of [
        ["sample-1", 1, flaky("Sample", 2)],
        ["sample-2", 2, flaky("Sample", 3)],
        ["last", 1, flaky("Sample", 8)],
        ["sync-1", 1, flaky("Sync", 2)],
        ["sync-2", 2, flaky("Sync", 1)]
      ] as const) {
        const crashed = yield* run(pipelineOf({ sampler }), { run: at(name), samplers })
        expect(crashed.weightsHash, name).toBe(whole.weightsHash)
        expect(crashed.metrics["actors/restarted"], name).toBe(1)
      }
    })
  )

  it.live("goes on when a reward throws: nothing is learned from what could not be scored, and that is counted", () =>
    Effect.gen(function* () {
      const broken = Reward.pure("broken", () => {
        throw new Error("no such file: truth.txt")
      })
      yield* run(pipelineOf({ verifier: Verifier.make(broken) }), { run: at("broken") })
      for (const row of jsonLines(at("broken"), "metrics.jsonl")) {
        expect(row).toMatchObject({ "reward/unscorable": 1, "reward/unscorable/threw": 1, "update/skipped": 1 })
      }
      for (const sample of jsonLines(at("broken"), "samples.jsonl")) {
        expect(sample).toMatchObject({ reward: null, unscorable: "broken threw: no such file: truth.txt" })
      }
    })
  )

  it.live("goes on when a reward gives no answer for one problem", () =>
    Effect.gen(function* () {
      let asked = 0
      const hangs = Reward.make("hangs", (group) =>
        asked++ === 1 ? Effect.never : Effect.succeed(group.rollouts.map(() => Reward.scored(1, {})))
      )
      const { metrics } = yield* run(pipelineOf({ verifier: Verifier.make(hangs, { timeLimit: "50 millis" }) }), {
        run: at("hangs"),
        steps: 1
      })
      expect(metrics["reward/unscorable/timeout"]).toBeGreaterThan(0)
      expect(metrics["reward/unscorable/timeout"]).toBe(metrics["reward/unscorable"])
      expect(metrics["reward/mean"]).toBe(1)
    })
  )
})

describe("a pipeline that cannot start", () => {
  const refused = (name: string, given: Parameters<typeof pipelineOf>[0], options = {}) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run(pipelineOf(given), { run: at(name), ...options }))
      expect(error.message).not.toContain("\n")
      expect(isThere(at(name)), "a run directory").toBe(false)
      return error
    })

  it.live("because no document is long enough says so in one line and leaves nothing on disk", () =>
    Effect.gen(function* () {
      const problems = dials.pipe(Corpus.nextToken({ minEntropy: 0, minimumContext: 400 }))
      const long = yield* refused("long", { problems })
      expect(long).toMatchObject({ _tag: "NothingEligible" })
      const few = Corpus.fromDocuments("few", [{ id: "a", text: "Tonight the fair opens Monday." }])
      const error = yield* refused("few", { problems: few.pipe(Corpus.nextToken({ minEntropy: 0 })) })
      expect(error).toMatchObject({ _tag: "NothingEligible", corpus: "few" })
      expect(error.message).toMatch(/no document is longer than the minimum context of 16 tokens/)
    })
  )

  it.live("because no position is hard enough says so in one line and leaves nothing on disk", () =>
    Effect.gen(function* () {
      const problems = dials.pipe(Corpus.nextToken({ minEntropy: 50, minimumContext: 8 }))
      const error = yield* refused("easy", { problems })
      expect(error).toMatchObject({ _tag: "NothingEligible", corpus: "dials" })
      expect(error.message).toMatch(/none of \d+ documents has a position that passes minEntropy 50/)
    })
  )

  it.live("because its corpus cannot be read says where and leaves nothing on disk", () =>
    Effect.gen(function* () {
      const lines = at("broken.jsonl")
      writeFileSync(lines, '{"text":"Tonight the fair opens Monday."}\nnot json\n')
      const problems = Corpus.jsonl(lines, { field: "text" }).pipe(Corpus.nextToken({ minEntropy: 0 }))
      const error = yield* refused("unreadable", { problems })
      expect(error).toMatchObject({ _tag: "CorpusError", location: expect.stringContaining("broken.jsonl:2") })
    })
  )

  it.live("because a setting is out of range names it and what would be right", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [string, Parameters<typeof pipelineOf>[0], object]> = [
        ["samplers: 0 given; an integer of at least 1 was expected", {}, { samplers: 0 }],
        ["steps: -1 given; an integer of at least 0 was expected", {}, { steps: -1 }],
        ["seed: 0.5 given; an integer was expected", {}, { seed: 0.5 }],
        ["temperature: 0 given; a positive number was expected", { sampler: Sampler.make({ temperature: 0 }) }, {}],
        [
          "groupSize: 1.5 given; an integer of at least 1 was expected",
          { sampler: Sampler.make({ groupSize: 1.5 }) },
          {}
        ],
        ["documentsPerUnit: 0 given; an integer of at least 1 was expected", { batch: { documentsPerUnit: 0 } }, {}],
        ["maxNorm: NaN given; a positive number was expected", { optimizer: Optimizer.make({ maxNorm: NaN }) }, {}],
        [
          "capacity: 7 given; at least 8, the groups of a step, was expected",
          { buffer: ReplayBuffer.make({ capacity: 7 }) },
          {}
        ]
      ]
      for (const [message, given, options] of cases) {
        const error = yield* refused("settings", given, options)
        expect(error).toMatchObject({ _tag: "SettingsError", message })
      }
    })
  )

  it.live("because the run directory is taken says so and leaves it as it was", () =>
    Effect.gen(function* () {
      mkdirSync(at("taken"))
      writeFileSync(join(at("taken"), "notes.txt"), "mine")
      const error = yield* Effect.flip(run(pipelineOf(), { run: at("taken") }))
      expect(error).toMatchObject({ _tag: "RunError", path: at("taken") })
      expect(isThere(join(at("taken"), "manifest.json"))).toBe(false)
    })
  )
})

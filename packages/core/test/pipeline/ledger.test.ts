import { createHash } from "node:crypto"
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Corpus from "../../src/data/Corpus.ts"
import { weightsHash } from "../../src/model/weights.ts"
import * as Reward from "../../src/reward/Reward.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import { parseAll } from "../../src/rl/Group.ts"
import { compact } from "../../src/prompt/Template.ts"
import { audit, groupsOf, live, readLedger, stepsOf } from "../../src/run/Ledger.ts"
import { temporaryDirectory } from "../temporary.ts"
import { jsonLines, pipelineOf, policy, run } from "./fixtures.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)
const ledgerOf = (name: string) => readLedger(join(at(name), "ledger"))

describe("the ledger of a run", () => {
  it.live("says all that happened: audited, nothing is missing and nothing is there twice", () =>
    Effect.gen(function* () {
      const result = yield* run(pipelineOf(), { run: at("whole"), steps: 3, samplers: 2 })
      const { records, flaw } = yield* ledgerOf("whole")
      expect(flaw).toEqual(Option.none())
      // 3 steps of 4 documents with 2 problems of 3 rollouts each.
      expect(audit(live(records))).toEqual({
        violations: [],
        problems: 24,
        aside: 0,
        rollouts: 72,
        verdicts: 72,
        updates: 3,
        unfinished: 0,
        lost: 0,
        oldest: 0
      })
      const manifest = createHash("sha256")
        .update(readFileSync(join(at("whole"), "manifest.json")))
        .digest("hex")
      expect(records[0]).toEqual({
        _tag: "begun",
        manifest,
        policy: weightsHash(policy.stored.weights),
        groupSize: 3
      })
      expect(records.at(-1)).toMatchObject({ _tag: "ended", how: "done", step: 3, policy: result.weightsHash })
      const sums = readFileSync(join(result.last.directory, "SHA256SUMS"), "utf8")
      const checkpoint = records.filter((record) => record._tag === "checkpoint")
      expect(checkpoint).toMatchObject([{ step: 3, name: "3", policy: result.weightsHash }])
      expect(sums).toBe(
        Object.entries(checkpoint[0].files)
          .map(([name, sum]) => `${sum}  ${name}\n`)
          .join("")
      )
    })
  )

  it.live("is enough to judge its rollouts again: the same reward gives the same verdicts and metrics", () =>
    Effect.gen(function* () {
      const length = Reward.pure("length", ({ rollout }) => rollout.completion.tokens.length)
      yield* run(pipelineOf({ verifier: Verifier.make(length) }), { run: at("again"), steps: 2 })
      const steps = stepsOf((yield* ledgerOf("again")).records)
      expect(steps.map(({ step }) => step)).toEqual([1, 2])
      for (const step of steps) {
        for (const group of groupsOf(step)) {
          const parsed = parseAll(compact, group)
          const verdicts = yield* length.score(parsed)
          expect(parsed.rollouts.map(({ rollout }) => step.verdicts.get(rollout.id)?.verdict)).toEqual(verdicts)
          expect(parsed.rollouts.map(({ rollout, prediction }) => [rollout.id, prediction.outcome])).toEqual(
            group.rollouts.map(({ id }) => [id, step.verdicts.get(id)?.outcome])
          )
        }
        const values = [...step.verdicts.values()].flatMap(({ verdict }) => ("value" in verdict ? [verdict.value] : []))
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length
        expect(jsonLines(at("again"), "metrics.jsonl")[step.step - 1]["reward/mean"]).toBeCloseTo(mean, 12)
      }
    })
  )

  it.live("tells problems of one epoch from those of the next, and their rollouts", () =>
    Effect.gen(function* () {
      const few = Corpus.generated({ seed: 3, split: "train", count: 2 }).pipe(
        Corpus.nextToken({ minEntropy: 0.5, minimumContext: 8, positionsPerDocument: 1, maxTokens: 100 })
      )
      yield* run(pipelineOf({ problems: few }), { run: at("epochs"), steps: 2 })
      const records = live((yield* ledgerOf("epochs")).records)
      expect(audit(records).violations).toEqual([])
      const epochs = records.flatMap((record) => (record._tag === "problem" ? [record.epoch] : []))
      expect(new Set(epochs).size).toBeGreaterThan(2)
      const problems = jsonLines(at("epochs"), "samples.jsonl").map(({ problem }) => String(problem))
      expect(problems.every((id) => /^\d+\/dials/.test(id))).toBe(true)
    })
  )

  it.live("has the problems of a step that found no signal, and how the run ended", () =>
    Effect.gen(function* () {
      const constant = Verifier.make(Reward.pure("constant", () => 1))
      const dynamicSampling = { fromStep: 1, maxAttempts: 2, minGroups: 1 }
      yield* run(pipelineOf({ verifier: constant, dynamicSampling }), { run: at("silent"), steps: 5 })
      const { records } = yield* ledgerOf("silent")
      expect(audit(live(records))).toMatchObject({ violations: [], updates: 0, problems: 24, unfinished: 16 })
      expect(records.at(-1)).toMatchObject({ _tag: "ended", how: "no-signal", step: 1, reason: /^step 2: / })
    })
  )

  it.live("says that a run failed, and by what", () =>
    Effect.gen(function* () {
      const bad = Verifier.make(Reward.pure("even", () => 1))
      const dead: Verifier.VerifierStage = {
        ...bad,
        make: () => Effect.succeed({ Verify: () => Effect.die(new Error("out of its mind")) })
      }
      const failure = yield* Effect.flip(run(pipelineOf({ verifier: dead }), { run: at("failed") }))
      const { records } = yield* ledgerOf("failed")
      expect(records.at(-1)).toMatchObject({ _tag: "ended", how: "failed", step: 0 })
      expect(records.at(-1)).toMatchObject({ reason: expect.stringContaining("out of its mind") })
      expect(failure._tag).toBe("TooManySetAside")
    })
  )

  it.live("names only checkpoints that are kept, verify, and hold the policy of their step", () =>
    Effect.gen(function* () {
      yield* run(pipelineOf(), { run: at("kept"), steps: 4, checkpointEvery: 1, keep: { last: 1, every: 3 } })
      expect(readdirSync(join(at("kept"), "checkpoints")).toSorted()).toEqual(["3", "4"])
      const records = live((yield* ledgerOf("kept")).records)
      expect(audit(records).violations).toEqual([])
      const names = records.flatMap((record) => (record._tag === "checkpoint" ? [record.name] : []))
      expect(names).toEqual(["1", "2", "3", "4"])
    })
  )
})

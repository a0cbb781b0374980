import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Verifier from "../../src/pipeline/Verifier.ts"
import * as Reward from "../../src/reward/index.ts"
import { temporaryDirectory } from "../temporary.ts"
import type { Options } from "../thread/brokenBackend.ts"
import { isThere, jsonLines, pipelineOf, run } from "./fixtures.ts"
import { threaded } from "./threaded.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

const settings = { steps: 2, seed: 7 }
const onThreads = (name: string, samplers: number, options: Options = {}, pipeline = pipelineOf()) => {
  // On a busy machine anything may take seconds; a short limit is for what never ends.
  const timeLimit = options.breaksOnce?.how === "forever" ? "4 seconds" : "1 minute"
  return Pipeline.run(pipeline, { ...settings, run: at(name), samplers, timeLimit }).pipe(
    Effect.provide(threaded(options))
  )
}

const wholeRun = Effect.runSync(Effect.cached(run(pipelineOf(), { ...settings, run: at("whole") })))

describe("a pipeline whose actors compute on threads", () => {
  it.live("comes to the same weights as without, for any number of samplers, and says how late timers were", () =>
    Effect.gen(function* () {
      const here = yield* wholeRun
      for (const samplers of [1, 2]) {
        const there = yield* onThreads(`threads-${samplers}`, samplers)
        expect(there.weightsHash).toBe(here.weightsHash)
        expect(there.metrics["actors/restarted"]).toBe(0)
      }
      for (const row of jsonLines(at("threads-1"), "metrics.jsonl")) {
        expect(row["timer_lag/max_ms"]).toBeGreaterThanOrEqual(0)
      }
    })
  )

  it.live(
    "comes to the same weights when a bit of a policy flips on its way to a sampler: it is refused, and sent again",
    () =>
      Effect.gen(function* () {
        const whole = yield* wholeRun
        const file = at("flip.count")
        writeFileSync(file, "6")
        const flipped = yield* onThreads("flipped", 1, { flipsOnce: { bytes: 1000, file } })
        expect(isThere(file), "no bit was flipped").toBe(false)
        expect(flipped.weightsHash).toBe(whole.weightsHash)
        expect(flipped.metrics["actors/restarted"]).toBe(1)
      })
  )

  const gain = pipelineOf({ verifier: Verifier.make(Reward.informationGain()) })
  for (const { stage, program, after, how, pipeline } of [
    { stage: "a sampler", program: "begin", after: 3, how: "exit", pipeline: pipelineOf() },
    { stage: "the optimizer", program: "train", after: 0, how: "exit", pipeline: pipelineOf() },
    { stage: "the optimizer", program: "train", after: 3, how: "forever", pipeline: pipelineOf() },
    { stage: "the search for problems", program: "score", after: 1, how: "exit", pipeline: pipelineOf() },
    // While the run is brought to life.
    { stage: "the search for problems", program: "score", after: 0, how: "exit", pipeline: pipelineOf() },
    { stage: "the optimizer", program: "upload", after: 2, how: "exit", pipeline: pipelineOf() },
    // Computes only for a reward that asks the model.
    { stage: "the verifier", program: "truth", after: 2, how: "exit", pipeline: gain }
  ]) {
    it.live(`comes to the same weights when the thread of ${stage} breaks: ${how}, after ${after} runs`, () =>
      Effect.gen(function* () {
        const whole = pipeline === gain ? yield* run(gain, { run: at("gain") }) : yield* wholeRun
        const name = `${program}-${after}`
        const file = at(`${name}.count`)
        writeFileSync(file, String(after))
        const broken = yield* onThreads(name, 1, { breaksOnce: { program, how, file } }, pipeline)
        expect(isThere(file), "it has not broken").toBe(false)
        expect(broken.weightsHash).toBe(whole.weightsHash)
        expect(broken.metrics["actors/restarted"]).toBe(1)
        const losses = (of: string) => jsonLines(of, "metrics.jsonl").map(({ loss, step }) => [step, loss])
        expect(losses(broken.run)).toEqual(losses(whole.run))
      })
    )
  }
})

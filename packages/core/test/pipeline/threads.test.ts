import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { startThread } from "../../src/thread/startThread.ts"
import { temporaryDirectory } from "../temporary.ts"
import type { Options } from "../thread/brokenBackend.ts"
import { jsonLines, pipelineOf, run } from "./fixtures.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)
const module = new URL("../thread/brokenBackend.ts", import.meta.url).href

/** The reference, with threads. */
const threaded = (options: Options) =>
  Layer.effect(
    Backend,
    Effect.map(Backend, (reference) => ({
      ...reference,
      thread: (thread: Parameters<typeof reference.thread>[0]) => startThread({ module, options }, thread)
    }))
  ).pipe(Layer.provide(Reference.layer))

const onThreads = (name: string, samplers: number, options: Options = {}) =>
  Pipeline.run(pipelineOf(), { steps: 2, seed: 7, run: at(name), samplers }).pipe(Effect.provide(threaded(options)))

describe("a pipeline whose actors compute on threads", () => {
  it.live("comes to the same weights as without, for any number of samplers, and says how late timers were", () =>
    Effect.gen(function* () {
      const here = yield* run(pipelineOf(), { run: at("here") })
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

  it.live("comes to the same weights when the thread of a sampler ends: it restarts with another", () =>
    Effect.gen(function* () {
      const whole = yield* run(pipelineOf(), { run: at("whole") })
      const file = at("ends once")
      writeFileSync(file, "")
      const ended = yield* onThreads("ended", 1, { endsOnce: { program: "begin", file } })
      expect(ended.metrics["actors/restarted"]).toBe(1)
      expect(ended.weightsHash).toBe(whole.weightsHash)
    })
  )

  it.live("fails with what happened when the thread of the optimizer ends in the middle of an update", () =>
    Effect.gen(function* () {
      const file = at("ends once more")
      writeFileSync(file, "")
      const error = yield* Effect.flip(onThreads("failed", 1, { endsOnce: { program: "train", file } }))
      expect(error._tag).toBe("ActorCrashed")
      expect(String(error)).toContain("the thread optimizer has ended: exit code 3")
    })
  )
})

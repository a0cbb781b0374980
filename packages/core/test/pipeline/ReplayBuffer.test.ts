import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { VerifiedUnit } from "../../src/pipeline/messages.ts"
import * as Optimizer from "../../src/pipeline/Optimizer.ts"
import * as ReplayBuffer from "../../src/pipeline/ReplayBuffer.ts"
import { makeRunContext } from "../../src/pipeline/RunContext.ts"
import { compact } from "../../src/prompt/Template.ts"
import type { Group } from "../../src/rl/Group.ts"
import * as Loss from "../../src/rl/loss.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { temporaryDirectory } from "../temporary.ts"
import { jsonLines, pipelineOf, policy, run } from "./fixtures.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

/** The context of another run each time. */
const contextOf = () =>
  makeRunContext({ seed: 1, config: policy.stored.config, tokenizer: policy.tokenizer, template: compact })
const group: Group = {
  problem: {
    id: "0/a@1",
    document: { id: "a", tokens: Int32Array.of(1, 2) },
    anchor: 1,
    continuation: { bytes: Uint8Array.of(0), boundaries: [1] }
  },
  rollouts: []
}
const unit = (step: number, index: number, policyUpdates = step - 1): VerifiedUnit => ({
  step,
  index,
  policyUpdates,
  groups: [group, group]
})
const indices = ({ units }: { readonly units: ReadonlyArray<VerifiedUnit> }) => units.map(({ index }) => index)

describe("a replay buffer", () => {
  const buffer = ReplayBuffer.make({ capacity: 4, maxPolicyAge: 1 })

  it.effect("gives the units of a step in the order of the stream, and the same when it is asked again", () =>
    Effect.gen(function* () {
      const { Put, Take } = yield* buffer.make(contextOf())
      yield* Put({ unit: unit(1, 1) })
      yield* Put({ unit: unit(1, 0) })
      expect(indices(yield* Take({ step: 1, updates: 0 }))).toEqual([0, 1])
      expect(indices(yield* Take({ step: 1, updates: 0 }))).toEqual([0, 1])
      yield* Put({ unit: unit(2, 2) })
      expect(indices(yield* Take({ step: 2, updates: 1 }))).toEqual([2])
      expect(indices(yield* Take({ step: 1, updates: 0 }))).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("leaves out what is too old, and counts it", () =>
    Effect.gen(function* () {
      const { Put, Take } = yield* buffer.make(contextOf())
      yield* Put({ unit: unit(3, 4, 0) })
      yield* Put({ unit: unit(3, 5, 1) })
      const taken = yield* Take({ step: 3, updates: 2 })
      expect([indices(taken), taken.stale]).toEqual([[5], 2])
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("refuses what does not fit; a unit that comes twice takes its own place; what was taken takes none", () =>
    Effect.gen(function* () {
      const { Put, Take } = yield* buffer.make(contextOf())
      yield* Put({ unit: unit(1, 0) })
      yield* Put({ unit: unit(1, 1) })
      yield* Put({ unit: unit(1, 1) })
      const full = yield* Effect.flip(Put({ unit: unit(2, 2) }))
      expect(full).toMatchObject({ _tag: "BufferFull", capacity: 4, stored: 4, offered: 2 })
      yield* Take({ step: 1, updates: 0 })
      yield* Put({ unit: unit(2, 2) })
      expect(indices(yield* Take({ step: 1, updates: 0 }))).toEqual([0, 1])
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("that restarts has lost nothing, and shares nothing with the buffer of another run", () =>
    Effect.gen(function* () {
      const context = contextOf()
      const before = yield* buffer.make(context)
      yield* before.Put({ unit: unit(1, 0) })
      const { Take } = yield* buffer.make(context)
      expect(indices(yield* Take({ step: 1, updates: 0 }))).toEqual([0])
      const other = yield* buffer.make(contextOf())
      expect(indices(yield* other.Take({ step: 1, updates: 0 }))).toEqual([])
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )
})

describe("a run whose buffer has room for one step", () => {
  const optimizer = Optimizer.make({ learningRate: 0.01, loss: Loss.truncated({ cap: 2 }) })
  const pipeline = (overflow: "wait" | "refuse", capacity: number) =>
    pipelineOf({ lag: 2, optimizer, buffer: ReplayBuffer.make({ capacity, overflow }) })

  it.live("samples ahead only as far as there is room where it is to wait, with the same result", () =>
    Effect.gen(function* () {
      const roomy = yield* run(pipeline("refuse", 24), { run: at("roomy"), steps: 5 })
      const tight = yield* run(pipeline("wait", 8), { run: at("tight"), steps: 5, samplers: 2 })
      expect(tight.weightsHash).toBe(roomy.weightsHash)
      const ages = jsonLines(at("tight"), "metrics.jsonl").map((row) => row["policy_age"])
      expect(ages).toEqual([0, 1, 2, 2, 2])
    })
  )

  it.live("does not start where it is to refuse, or where not even one step fits", () =>
    Effect.gen(function* () {
      const message = (overflow: "wait" | "refuse", capacity: number) =>
        Effect.map(Effect.flip(run(pipeline(overflow, capacity), { run: at("refused") })), (error) => error.message)
      expect(yield* message("refuse", 8)).toBe("capacity: 8 given; at least 24, the groups of 3 steps, was expected")
      expect(yield* message("wait", 7)).toBe("capacity: 7 given; at least 8, the groups of a step, was expected")
    })
  )
})

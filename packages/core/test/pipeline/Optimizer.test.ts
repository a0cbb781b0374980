import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { adamwRule } from "../../src/optim/settings.ts"
import * as Optimizer from "../../src/pipeline/Optimizer.ts"
import { makeRunContext } from "../../src/pipeline/RunContext.ts"
import { compact } from "../../src/prompt/Template.ts"
import { scored } from "../../src/reward/Verdict.ts"
import type { AdvantagedGroup } from "../../src/rl/Group.ts"
import { clipped } from "../../src/rl/loss.ts"
import { behaviourLogprobs } from "../../src/rl/Rollout.ts"
import { loadCheckpoint } from "../../src/run/Checkpoint.ts"
import { arbitraries } from "../../src/testing/index.ts"
import { gap } from "../model/numbers.ts"
import { temporaryDirectory } from "../temporary.ts"
import { pipelineOf, policy, run } from "./fixtures.ts"

const directory = temporaryDirectory()
const context = makeRunContext({
  seed: 1,
  config: policy.stored.config,
  tokenizer: policy.tokenizer,
  template: compact
})

/** A group of one document with these advantages, each rollout of three tokens. */
const group = (document: string, anchor: number, advantages: ReadonlyArray<number>): AdvantagedGroup => {
  const problem = {
    id: `${document}@${anchor}`,
    document: { id: document, tokens: new Int32Array(50).fill(6) },
    anchor,
    continuation: { bytes: new Uint8Array(0), boundaries: [] }
  }
  return {
    problem,
    excluded: 0,
    rollouts: advantages.map((advantage, index) => ({
      rollout: {
        id: `${problem.id}/${index}`,
        problem,
        index,
        policyVersion: arbitraries.policyVersion,
        completion: { tokens: Int32Array.of(5, 6, 7), ended: "length" },
        behaviourLogprobs: behaviourLogprobs(new Float32Array(3).fill(-2)),
        temperature: 1,
        bytes: new Uint8Array(0)
      },
      prediction: { outcome: "truncated" },
      verdict: scored(0, {}),
      advantage
    }))
  }
}

const settings = { loss: clipped({ low: 0.2, high: 0.2 }), documentsPerMicroBatch: 2 }
const numbers = (batch: ReturnType<typeof Optimizer.microBatches>[number], name: string) =>
  Array.from(batch.data[name].data)

describe("micro-batches", () => {
  it("are cut by documents in their order; groups with nothing to teach are left out but counted", () => {
    const cuts = Optimizer.microBatches(context, settings, [
      group("a", 20, [1, -1]),
      group("b", 20, [0, 0]),
      group("c", 30, [2, -2]),
      group("a", 40, [3, -3]),
      group("d", 25, [4, -4])
    ])
    expect(cuts.map((cut) => numbers(cut, "advantages"))).toEqual([
      [1, -1, 3, -3, 2, -2, 0, 0],
      [4, -4, 0, 0]
    ])
    for (const cut of cuts) {
      expect(numbers(cut, "tokenCount")).toEqual([5 * 2 * 3])
      expect(numbers(cut, "tokensRead")).toEqual([4 * 2 * 3])
    }
    const tokens = cuts.flatMap((cut) => numbers(cut, "mask")).filter((counted) => counted === 1)
    expect(tokens.length).toBe(4 * 2 * 3)
  })

  it("of other documents have the same shapes, so that one program serves them", () => {
    const shapes = (groups: ReadonlyArray<AdvantagedGroup>) =>
      Optimizer.microBatches(context, settings, groups).map(({ data }) =>
        Object.entries(data).map(([name, { shape }]) => `${name} ${shape}`)
      )
    expect(shapes([group("a", 20, [1, -1])])).toEqual(shapes([group("b", 25, [1, -1]), group("c", 11, [1, -1])]))
  })

  it("are none where no group has anything to teach", () => {
    expect(Optimizer.microBatches(context, settings, [group("a", 20, [0, 0])])).toEqual([])
  })
})

describe("the optimizer", () => {
  it.live("comes to the same weights, but for rounding, however its batch is cut", () =>
    Effect.gen(function* () {
      const trained = Effect.fnUntraced(function* (documentsPerMicroBatch: number) {
        // A large eps makes the step linear in the gradient: Adam's own first step has one size whatever the gradient.
        const rule = adamwRule({ learningRate: 10, eps: 1 })
        const optimizer = Optimizer.make({ rule, documentsPerMicroBatch })
        const name = join(directory, `cut-${documentsPerMicroBatch}`)
        const { last } = yield* run(pipelineOf({ optimizer }), { run: name, steps: 1 })
        return (yield* loadCheckpoint(last.directory)).model.weights
      })
      const whole = yield* trained(4)
      const cut = yield* trained(1)
      const moved = Math.max(
        ...Object.keys(whole).map((name) => gap(whole[name].data, policy.stored.weights[name].data))
      )
      expect(moved).toBeGreaterThan(0.01)
      for (const name of Object.keys(whole)) {
        expect(gap(cut[name].data, whole[name].data), name).toBeLessThan(1e-5 * moved)
      }
    })
  )
})

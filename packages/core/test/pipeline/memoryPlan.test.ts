import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import { parameterCount } from "../../src/model/weights.ts"
import { fitMemory, planMemory } from "../../src/pipeline/memoryPlan.ts"
import * as Optimizer from "../../src/pipeline/Optimizer.ts"
import type { Pipeline } from "../../src/pipeline/Pipeline.ts"
import { makeRunContext } from "../../src/pipeline/RunContext.ts"
import { compact } from "../../src/prompt/Template.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { jsonLines, pipelineOf, policy, run } from "./fixtures.ts"

const { config } = policy.stored
const contextOf = (layers: number) =>
  makeRunContext({ seed: 1, config: { ...config, layers }, tokenizer: policy.tokenizer, template: compact })
const context = contextOf(1)
const bytes = (pipeline: Pipeline, what: RegExp, of = context) => {
  const found = planMemory(pipeline, of, 1).parts.filter((part) => what.test(part.what))
  return found.reduce((sum, part) => sum + part.bytes, 0)
}
const cutTo = (documentsPerMicroBatch: number, remember: "all" | "layers" = "all", programsKept = 2) =>
  pipelineOf({ optimizer: Optimizer.make({ documentsPerMicroBatch, remember, programsKept }) })

describe("a plan of memory", () => {
  it("counts the buffers of weights, moments and gradients to the byte", () => {
    const all = 4 * parameterCount(config)
    const frozen = pipelineOf({ optimizer: Optimizer.make({ frozen: ["model.embed_tokens.weight"] }) })
    const moving = all - 4 * config.vocabSize * config.hiddenSize
    expect(bytes(cutTo(2), /^weights/)).toBe(4 * all)
    expect(bytes(cutTo(2), /moments/)).toBe(3 * 2 * all)
    expect(bytes(frozen, /moments/)).toBe(3 * 2 * moving)
    expect(bytes(cutTo(4), /gradients/)).toBe(2 * all) // a step of four documents in one go
    expect(bytes(cutTo(2), /gradients/)).toBe(3 * all)
  })

  it("counts weights that training leaves alone as they are kept", () => {
    const all = parameterCount(config)
    const halves = Object.entries(policy.stored.weights).map(([name, { shape }]) => [
      name,
      HostTensor.fill("bf16", shape, 0)
    ])
    const kept = { ...policy, stored: { ...policy.stored, weights: Object.fromEntries(halves) } }
    const frozen = Optimizer.make({ frozen: ["model.embed_tokens.weight"] })
    const embedding = config.vocabSize * config.hiddenSize
    expect(bytes(pipelineOf({ policy: kept, optimizer: frozen }), /^weights/)).toBe(4 * (4 * all - 2 * embedding))
    expect(bytes(pipelineOf({ policy: kept }), /^weights/)).toBe(4 * 4 * all)
    expect(bytes(pipelineOf({ policy: kept, optimizer: frozen }), /moments/)).toBe(3 * 2 * 4 * (all - embedding))
  })

  it("is the sum of its parts, and grows with documents, layers kept, programs kept and samplers", () => {
    const plan = planMemory(cutTo(2), context, 2)
    expect(plan.total).toBe(plan.parts.reduce((sum, part) => sum + part.bytes, 0))
    expect(plan.total).toBeGreaterThan(planMemory(cutTo(2), context, 1).total)
    expect(bytes(cutTo(2), /activations/)).toBeGreaterThan(bytes(cutTo(1), /activations/))
    expect(bytes(cutTo(2), /activations/)).toBeCloseTo(2 * bytes(cutTo(2, "all", 1), /activations/), -1)
    const deep = contextOf(16)
    expect(bytes(cutTo(2), /activations/, deep)).toBeGreaterThan(bytes(cutTo(2, "layers"), /activations/, deep))
  })

  it("is kept to by the first way that fits, or refused with the least that there is", () => {
    const deep = contextOf(2)
    const largest = planMemory(cutTo(4), deep, 1).total
    const fit = (budget: number) => fitMemory(cutTo(4), deep, 1, budget)
    const least = Result.getOrThrow(Result.flip(fit(1)))
    expect(least.message).toMatch(/^memory: 0\.000 GB given; this run takes at least \d+\.\d+ GB$/)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Math.ceil(1.1 * largest) }), (budget) => {
        const found = fit(budget)
        if (Result.isFailure(found)) return
        expect(planMemory(found.success, deep, 1).total).toBeLessThanOrEqual(budget)
        expect(Result.getOrThrow(fit(budget)).optimizer.settings).toEqual(found.success.optimizer.settings)
        if (budget >= largest) expect(found.success.optimizer.settings).toEqual(cutTo(4).optimizer.settings)
      }),
      { numRuns: 8, seed: 6 }
    )
    const fitsAll = Result.getOrThrow(fitMemory(cutTo(4, "all", 4), deep, 1, largest)).optimizer.settings
    expect(fitsAll).toMatchObject({ documentsPerMicroBatch: 4, programsKept: 2 }) // not fewer documents for four programs
    const small = Result.getOrThrow(fit(planMemory(cutTo(1, "layers", 1), deep, 1).total))
    expect(small.optimizer.settings).toMatchObject({ documentsPerMicroBatch: 1, remember: "layers", programsKept: 1 })
  })
})

describe("a run that is cut to fit", () => {
  const root = mkdtempSync(join(tmpdir(), "foretoken-memory-"))
  afterAll(() => rmSync(root, { recursive: true, force: true }))

  it.effect("comes to the loss and the gradient of one that is not", () =>
    Effect.gen(function* () {
      const rows = yield* Effect.forEach(
        [cutTo(4), cutTo(1, "layers", 1)].entries(),
        Effect.fnUntraced(function* ([i, pipeline]) {
          const directory = join(root, `${i}`)
          yield* run(pipeline, { run: directory })
          return jsonLines(directory, "metrics.jsonl")
        })
      )
      const [whole, cut] = rows
      expect(whole).toHaveLength(2)
      whole.forEach((row, i) => {
        for (const metric of ["loss", "grad_norm", "approx_kl", "reward/mean"]) {
          expect(Math.abs(Number(row[metric]) - Number(cut[i][metric])), metric).toBeLessThan(1e-6)
        }
        expect(Number(row.grad_norm)).toBeGreaterThan(0)
      })
    })
  )
})

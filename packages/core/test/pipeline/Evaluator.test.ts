import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Transport } from "../../src/actor/Transport.ts"
import { top16 } from "../../src/data/Difficulty.ts"
import * as Synthetic from "../../src/data/Synthetic.ts"
import { initialWeights } from "../../src/model/weights.ts"
import { heldOutAt, makeEvaluator, moveWeights } from "../../src/pipeline/Evaluator.ts"
import { makeRunContext } from "../../src/pipeline/RunContext.ts"
import { compact } from "../../src/prompt/Template.ts"
import type { Value } from "../../src/tensor/Backend.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { temporaryDirectory } from "../temporary.ts"
import { breaking, breakingMakes, breakingMessages, inVirtualTime, ways } from "./breaking.ts"
import type { Break } from "./breaking.ts"
import { isThere, policy } from "./fixtures.ts"
import { threaded } from "./threaded.ts"

const directory = temporaryDirectory()
const { config, weights } = policy.stored
const context = makeRunContext({ seed: 7, config, tokenizer: policy.tokenizer, template: compact })
const documents = [0, 1, 2].map((index) => Synthetic.document({ seed: 5, split: "test", index }))
const heldOut = documents.map((document) =>
  heldOutAt(context, document, [4, 9], 4, () => ({ entropy: 1, tags: ["some"] }))
)
const others = initialWeights(config, 2)

/** Everything that an evaluator can be asked, of two models by turns; two batches each. */
const examined = Effect.fnUntraced(function* (timeLimit: number | "1 hour") {
  const sampling = { _tag: "temperature", temperature: 1 } as const
  const evaluator = yield* makeEvaluator({ context, maxTokens: 3, sampling, documentsPerBatch: 2, timeLimit })
  return {
    entropies: yield* evaluator.entropies(weights, documents, top16),
    direct: yield* evaluator.direct(weights, heldOut),
    reasoned: yield* evaluator.reasoned(weights, heldOut),
    reasonedByOthers: yield* evaluator.reasoned(others, heldOut),
    reasonedAgain: yield* evaluator.reasoned(weights, heldOut)
  }
}, Effect.scoped)
const here = examined("1 hour").pipe(Effect.provide(Reference.layer))
const undisturbed = Effect.runSync(Effect.cached(here))

describe("an evaluator", () => {
  it.live("answers about the weights that it is given, whatever it was asked before", () =>
    Effect.gen(function* () {
      const { entropies, direct, reasoned, reasonedByOthers, reasonedAgain } = yield* undisturbed
      expect(entropies.map(({ length }) => length)).toEqual(documents.map(({ tokens }) => tokens.length))
      expect([direct.length, reasoned.length]).toEqual([6, 6])
      expect(reasonedAgain).toEqual(reasoned)
      expect(reasonedByOthers).not.toEqual(reasoned)
    })
  )

  const positions: Readonly<Record<string, (broken: Break) => ReturnType<typeof Transport.defaultValue>>> = {
    "asked for entropies": (broken) => breakingMessages("Entropies", broken),
    "asked directly": (broken) => breakingMessages("Direct", broken),
    "asked to reason": (broken) => breakingMessages("Reasoned", broken),
    "coming to life": (broken) => breakingMakes("evaluator", broken)
  }
  for (const [position, transport] of Object.entries(positions)) {
    const first = position === "coming to life" ? 0 : 1
    for (const way of ways) {
      it.effect(`that fails once is restarted, and asked again: ${position}, it ${way}`, () =>
        Effect.gen(function* () {
          const fault = breaking(way, (call) => call === first)
          const found = yield* inVirtualTime(Effect.provideService(here, Transport, transport(fault.broken)))
          expect(fault.seen.broken).toBe(1)
          expect(found).toEqual(yield* undisturbed)
        })
      )
    }

    for (const way of ["dies", "throws", "stalls"] as const) {
      it.effect(`that fails from some time on says why: ${position}, it ${way}`, () =>
        Effect.gen(function* () {
          const fault = breaking(way, (call) => call >= first)
          const failing = Effect.provideService(here, Transport, transport(fault.broken))
          const error = yield* Effect.flip(inVirtualTime(failing))
          expect(["ActorCrashed", "ActorStopped"]).toContain(error._tag)
          expect(error.message).toMatch(way === "stalls" ? /no answer within/ : /a fault/)
        })
      )
    }
  }

  for (const { program, after, how } of [
    { program: "score", after: 1, how: "exit" },
    { program: "begin", after: 3, how: "forever" },
    { program: "upload", after: 3, how: "throw" }
  ]) {
    it.live(`gives the same answers when its thread ends in the middle of one: ${program}, ${how}`, () =>
      Effect.gen(function* () {
        const file = join(directory, program)
        writeFileSync(file, String(after))
        const found = yield* Effect.provide(examined(2000), threaded({ breaksOnce: { program, how, file } }))
        expect(isThere(file), "it has not broken").toBe(false)
        expect(found).toEqual(yield* undisturbed)
      })
    )
  }
})

it.effect(
  "weights that are moved to a backend are there and leave the host, but for memory that others lie in too",
  () =>
    Effect.gen(function* () {
      const both = Float32Array.of(1, 2, 3, 4)
      const shared = (at: number) => HostTensor.f32([2], both.subarray(at, at + 2))
      const weights = { own: HostTensor.f32([3], [5, 6, 7]), a: shared(0), b: shared(2) }
      const moved = yield* moveWeights(weights)
      const { read } = yield* Backend
      const valueOf = (value: Value) => ("_tag" in value ? read(value) : Effect.succeed(value))
      expect(yield* valueOf(moved["own"])).toEqual(HostTensor.f32([3], [5, 6, 7]))
      expect(yield* valueOf(moved["b"])).toEqual(HostTensor.f32([2], [3, 4]))
      expect(weights.own.data).toHaveLength(0)
      expect(both).toEqual(Float32Array.of(1, 2, 3, 4))
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
)

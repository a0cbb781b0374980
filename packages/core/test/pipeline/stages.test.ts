import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Transport } from "../../src/actor/Transport.ts"
import * as Corpus from "../../src/data/Corpus.ts"
import type { PipelineOptions } from "../../src/pipeline/Pipeline.ts"
import { audit, live, readLedger } from "../../src/run/Ledger.ts"
import { temporaryDirectory } from "../temporary.ts"
import { breaking, breakingMakes, inVirtualTime, ways } from "./breaking.ts"
import type { Break } from "./breaking.ts"
import { dials, isThere, pipelineOf, run } from "./fixtures.ts"

const directory = temporaryDirectory()
const at = (name: string) => join(directory, name)

const problems = dials.pipe(
  Corpus.nextToken({ minEntropy: 0.5, minimumContext: 8, positionsPerDocument: 1, maxTokens: 24 })
)
/** Three steps of two units of one problem. */
const small = (given: Partial<PipelineOptions> = {}) =>
  pipelineOf({ problems, batch: { documentsPerStep: 2, documentsPerUnit: 1, shuffleBuffer: 8 }, ...given })
const options = { steps: 3, timeLimit: "1 hour" } as const

const { sampler, verifier, buffer, optimizer } = small()
/** Each stage with one of its messages broken. The store is that of the optimizer: what it publishes to. */
const positions: Readonly<Record<string, (broken: Break) => Partial<PipelineOptions>>> = {
  "the sampler, loading": (broken) => ({
    sampler: {
      ...sampler,
      make: (context) => Effect.map(sampler.make(context), (own) => ({ ...own, Sync: broken(own.Sync) }))
    }
  }),
  "the sampler": (broken) => ({
    sampler: {
      ...sampler,
      make: (context) => Effect.map(sampler.make(context), (own) => ({ ...own, Sample: broken(own.Sample) }))
    }
  }),
  "the verifier": (broken) => ({
    verifier: {
      ...verifier,
      make: (context) => Effect.map(verifier.make(context), (own) => ({ Verify: broken(own.Verify) }))
    }
  }),
  "the buffer, storing": (broken) => ({
    buffer: {
      ...buffer,
      make: (context) => Effect.map(buffer.make(context), (own) => ({ ...own, Put: broken(own.Put) }))
    }
  }),
  "the buffer, giving": (broken) => ({
    buffer: {
      ...buffer,
      make: (context) => Effect.map(buffer.make(context), (own) => ({ ...own, Take: broken(own.Take) }))
    }
  }),
  "the optimizer": (broken) => ({
    optimizer: {
      ...optimizer,
      make: (context, store) => Effect.map(optimizer.make(context, store), (own) => ({ Update: broken(own.Update) }))
    }
  }),
  "the policy store": (broken) => ({
    optimizer: {
      ...optimizer,
      make: (context, store) => {
        // Whatever is asked: the type of the answer goes with the message.
        const plain = store.ask as (...message: ReadonlyArray<unknown>) => Effect.Effect<unknown>
        const ask = broken((message: ReadonlyArray<unknown>) => plain(...message))
        const faulty = { ...store, ask: (...message: ReadonlyArray<unknown>) => ask(message) } as typeof store
        return optimizer.make(context, faulty)
      }
    }
  })
}

const typed = ["ActorCrashed", "ActorStopped", "SupervisorFailure", "TooManySetAside"]

describe("a stage that fails", () => {
  const undisturbed = Effect.runSync(Effect.cached(run(small(), { ...options, run: at("undisturbed") })))

  for (const [position, given] of Object.entries(positions)) {
    for (const way of ways) {
      it.effect(`once is restarted, and its work made again to the same weights: ${position} ${way}`, () =>
        Effect.gen(function* () {
          const name = `once ${position} ${way}`
          const fault = breaking(way, (call) => call === 1)
          const pipeline = small(given(fault.broken))
          const { weightsHash } = yield* inVirtualTime(run(pipeline, { ...options, run: at(name), samplers: 2 }))
          expect(fault.seen.broken).toBe(1)
          expect(weightsHash).toBe((yield* undisturbed).weightsHash)
          const { records } = yield* readLedger(join(at(name), "ledger"))
          expect(audit(live(records))).toMatchObject({ violations: [], problems: 6, aside: 0, updates: 3 })
        })
      )
    }

    for (const way of ["dies", "throws", "stalls"] as const) {
      it.effect(`from some time on ends the run with its cause: ${position} ${way}`, () =>
        Effect.gen(function* () {
          const name = `always ${position} ${way}`
          const pipeline = small(given(breaking(way, (call) => call >= 1).broken))
          const error = yield* Effect.flip(inVirtualTime(run(pipeline, { ...options, run: at(name) })))
          expect(typed).toContain(error._tag)
          expect(error.message).toMatch(way === "stalls" ? /no answer within/ : /a fault/)
          const { records } = yield* readLedger(join(at(name), "ledger"))
          expect(records.at(-1)).toMatchObject({ _tag: "ended", how: "failed" })
          expect(audit(live(records)).violations).toEqual([])
        })
      )
    }
  }
})

describe("a stage that fails while its run is brought to life", () => {
  const short = { ...options, steps: 1 }
  const undisturbed = Effect.runSync(Effect.cached(run(small(), { ...short, run: at("brought to life") })))
  /** A run of one step, with the makes of an actor broken. */
  const runWith = (actor: string, broken: Break, name: string) => {
    const made = run(small(), { ...short, run: at(name) })
    return inVirtualTime(Effect.provideService(made, Transport, breakingMakes(actor, broken)))
  }

  for (const actor of ["policy-store", "sampler-0", "verifier", "replay-buffer", "optimizer", "problems"]) {
    for (const way of ways) {
      it.effect(`once is made again, and the run comes to the same weights: ${actor} ${way}`, () =>
        Effect.gen(function* () {
          const fault = breaking(way, (call) => call === 0)
          const { weightsHash } = yield* runWith(actor, fault.broken, `first make ${actor} ${way}`)
          expect(fault.seen).toEqual({ calls: 2, broken: 1 })
          expect(weightsHash).toBe((yield* undisturbed).weightsHash)
        })
      )
    }

    for (const way of ["dies", "throws", "stalls"] as const) {
      it.effect(`every time ends the run with its cause, past the budget, and leaves nothing: ${actor} ${way}`, () =>
        Effect.gen(function* () {
          const name = `never made ${actor} ${way}`
          const fault = breaking(way, () => true)
          const error = yield* Effect.flip(runWith(actor, fault.broken, name))
          expect(error._tag).toBe("ActorStopped")
          expect(error.message).toContain(`${actor} crashed 6 times and is out of restarts, last in make: Error: `)
          expect(error.message).toMatch(way === "stalls" ? /no answer within/ : /a fault/)
          expect(fault.seen.broken).toBe(6)
          expect(isThere(at(name))).toBe(false)
        })
      )
    }
  }
})

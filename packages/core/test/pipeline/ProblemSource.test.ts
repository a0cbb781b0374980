import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Corpus from "../../src/data/Corpus.ts"
import { document } from "../../src/data/Synthetic.ts"
import { makeScorer } from "../../src/model/Scorer.ts"
import type { Unit } from "../../src/pipeline/messages.ts"
import type { Position } from "../../src/pipeline/ProblemSource.ts"
import { beginning, makeProblemSource } from "../../src/pipeline/ProblemSource.ts"
import { makeRunContext } from "../../src/pipeline/RunContext.ts"
import { compact } from "../../src/prompt/Template.ts"
import { makeProgramCache } from "../../src/tensor/ProgramCache.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import { policy } from "./fixtures.ts"

const { config, weights } = policy.stored
const context = makeRunContext({ seed: 5, config, tokenizer: policy.tokenizer, template: compact })
const texts = [0, 1, 2].map((index) => document({ seed: 1, split: "train", index }))
const threeAndAShortOne = Corpus.fromDocuments("stories", [
  ...texts,
  { id: "short", text: "Tonight the fair opens" }
]).pipe(Corpus.nextToken({ minEntropy: 0, minimumContext: 16, positionsPerDocument: 2, maxTokens: 400 }))

const source = (documentsPerUnit: number, seed = 5, from: Position = beginning) =>
  Effect.gen(function* () {
    const scorer = yield* makeScorer(config, yield* makeProgramCache)
    return yield* makeProblemSource({
      context: { ...context, seed },
      problems: threeAndAShortOne,
      scorer,
      weights,
      documentsPerUnit,
      shuffleBuffer: 8,
      from
    })
  })

const ids = (units: ReadonlyArray<Unit>) =>
  units.flatMap(({ documents }) => documents.map(({ epoch, problems: [{ document }] }) => `${epoch} ${document.id}`))

describe("a problem source", () => {
  it.effect("gives every document once an epoch, epoch after epoch, each in its own order", () =>
    Effect.gen(function* () {
      const { next, skipped } = yield* source(2)
      const units = yield* Effect.replicateEffect(next, 6)
      expect(units.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5])
      const given = ids(units)
      for (const epoch of [0, 1, 2, 3]) {
        const own = given.slice(3 * epoch, 3 * epoch + 3)
        expect(own.toSorted()).toEqual(texts.map(({ id }) => `${epoch} ${id}`).toSorted())
      }
      expect(
        new Set(
          [0, 3, 6, 9].map((from) =>
            given
              .slice(from, from + 3)
              .map((id) => id.slice(2))
              .join()
          )
        ).size
      ).toBeGreaterThan(1)
      expect(skipped()).toMatchObject({ tooEasy: 0 })
      expect(skipped().tooShort).toBeGreaterThanOrEqual(4)
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect("is a function of the seed, and of the documents per unit only in how it is cut", () =>
    Effect.gen(function* () {
      const read = (documentsPerUnit: number, seed?: number) =>
        Effect.flatMap(source(documentsPerUnit, seed), ({ next }) => Effect.replicateEffect(next, 6 / documentsPerUnit))
      const byOne = yield* read(1)
      const anchors = (units: ReadonlyArray<Unit>) =>
        units.flatMap(({ documents }) => documents.flatMap(({ problems }) => problems.map(({ id }) => id)))
      expect(anchors(yield* read(1))).toEqual(anchors(byOne))
      expect(anchors(yield* read(3))).toEqual(anchors(byOne))
      expect(anchors(yield* read(1, 6))).not.toEqual(anchors(byOne))
    }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )

  it.effect(
    "goes on at any position as if it had never stopped: the same units, the same counts of what it skipped",
    () =>
      Effect.gen(function* () {
        for (const documentsPerUnit of [1, 2, 3]) {
          const whole = yield* source(documentsPerUnit)
          const seen = yield* Effect.replicateEffect(
            Effect.map(whole.next, (unit) => ({ unit, position: whole.position(), skipped: whole.skipped() })),
            8
          )
          for (const [at, { position }] of seen.slice(0, -1).entries()) {
            const resumed = yield* source(documentsPerUnit, 5, JSON.parse(JSON.stringify(position)))
            for (const later of seen.slice(at + 1)) {
              expect(yield* resumed.next).toEqual(later.unit)
              expect(resumed.position()).toEqual(later.position)
              expect(resumed.skipped()).toEqual(later.skipped)
            }
          }
        }
      }).pipe(Effect.scoped, Effect.provide(Reference.layer))
  )
})

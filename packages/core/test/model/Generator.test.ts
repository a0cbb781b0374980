import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { makeGenerator } from "../../src/model/Generator.ts"
import type { Sampling } from "../../src/model/generate.ts"
import { begin } from "../../src/model/generate.ts"
import { allRows, asDecoded, rowsLeft, segmentLengths } from "../../src/model/segments.ts"
import type { WeightsOf } from "../../src/model/Transformer.ts"
import { HostTensor } from "../../src/tensor/HostTensor.ts"
import { makeProgramCache } from "../../src/tensor/ProgramCache.ts"
import { Reference } from "../../src/tensor/Reference.ts"
import type { Tensor } from "../../src/tensor/Tensor.ts"
import { forAll } from "../../src/testing/forAll.ts"
import { compute, configs, float, int, randomWeights } from "./numbers.ts"

const sampling: Sampling = { _tag: "temperature", temperature: 1 }

describe("a generator", () => {
  it.effect("gives, segment by segment and with finished branches dropped, what one long segment gives", () =>
    forAll(
      fc.record({
        config: configs,
        seed: fc.nat(1000),
        maxTokens: fc.integer({ min: 17, max: 40 }),
        groupSize: fc.integer({ min: 1, max: 4 }),
        stop: fc.uniqueArray(fc.nat(10), { minLength: 1, maxLength: 3 }),
        draws: fc.infiniteStream(fc.double({ min: 0, max: 1 - 2 ** -24, noNaN: true }))
      }),
      ({ config, seed, maxTokens, groupSize, stop, draws }) =>
        Effect.gen(function* () {
          const documents = [
            [1, 2, 3, 4],
            [5, 6, 7, 8]
          ]
          const anchors = [2, 4, 3, 1]
          const tail = [9]
          const rows = 4 * groupSize
          const uniforms = Float32Array.from({ length: maxTokens * rows }, () => draws.next().value)
          const weights = randomWeights(config, seed)

          const programs = yield* makeProgramCache
          const generator = yield* makeGenerator(config, { groupSize, maxTokens, sampling, stop }, programs)
          const host = Object.fromEntries(
            Object.entries(weights).map(([name, { shape, data }]) => [name, HostTensor.f32(shape, data)])
          )
          const completions = yield* generator.generate(host, {
            trunk: { documents: 2, length: 4, tokens: Int32Array.from(documents.flat()) },
            positions: 2,
            anchors: Int32Array.from(anchors),
            tail: Int32Array.from(tail),
            uniforms
          })

          const whole = compute(
            (inputs: {
              weights: WeightsOf<Tensor>
              trunk: Tensor
              anchors: Tensor
              tail: Tensor
              uniforms: Tensor
            }) => {
              const { tokens, logprobs } = begin(config, { groupSize, sampling, stop: [] }, inputs)
              return { tokens, logprobs }
            },
            {
              weights: Object.fromEntries(
                Object.entries(host).map(([name, { shape, data }]) => [name, float(shape, data)])
              ),
              trunk: int([2, 4], documents.flat()),
              anchors: int([2, 2], anchors),
              tail: int([1], tail),
              uniforms: float([maxTokens, rows], uniforms)
            }
          )
          completions.forEach(({ tokens, logprobs, ended }, row) => {
            const column = (data: ArrayLike<number>) =>
              Array.from({ length: maxTokens }, (_, step) => data[step * rows + row])
            const all = column(whole.tokens.data)
            const end = all.findIndex((token) => stop.includes(token))
            const length = end < 0 ? maxTokens : end + 1
            expect(ended).toBe(end < 0 ? "length" : "stop")
            expect(Array.from(tokens)).toEqual(all.slice(0, length))
            column(whole.logprobs.data)
              .slice(0, length)
              .forEach((logprob, step) => expect(logprobs[step]).toBeCloseTo(logprob, 4))
          })
        }).pipe(Effect.scoped, Effect.provide(Reference.layer)),
      { numRuns: 20 }
    )
  )
})

describe("segments", () => {
  it("cut any number of tokens into parts of 16 and what is left", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), (tokens) => {
        const lengths = segmentLengths(tokens)
        expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(tokens)
        expect(lengths.slice(0, -1).every((length) => length === 16)).toBe(true)
        expect(lengths[lengths.length - 1]).toBeLessThanOrEqual(16)
        expect(Math.min(...lengths)).toBeGreaterThan(0)
      })
    )
  })

  it("show in training as stretches that follow one another through the whole branch", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(200), (given, more) => {
        const cut = asDecoded(given, given + more)
        expect(cut.map(({ from }) => from)).toEqual([0, ...cut.slice(0, -1).map(({ to }) => to)])
        expect(cut[cut.length - 1].to).toBe(given + more)
        expect(cut.every(({ from, to }) => from < to)).toBe(true)
      })
    )
    expect(asDecoded(1, 40)).toEqual([
      { from: 0, to: 32 },
      { from: 32, to: 40 }
    ])
    expect(asDecoded(20, 60).map(({ from }) => from)).toEqual([0, 20, 35, 51])
  })

  it("keep every rollout that goes on exactly once, in its document, and none that has ended if rows are dropped", () => {
    const cases = fc
      .record({
        documents: fc.integer({ min: 1, max: 3 }),
        branches: fc.integer({ min: 1, max: 9 }),
        rounds: fc.nat(3)
      })
      .chain(({ documents, branches, rounds }) => {
        const rounded = fc.array(fc.nat(rounds), { minLength: documents * branches, maxLength: documents * branches })
        return fc.record({ documents: fc.constant(documents), endsIn: rounded, rounds: fc.constant(rounds) })
      })
    fc.assert(
      fc.property(cases, ({ documents, endsIn, rounds }) => {
        const branches = endsIn.length / documents
        let rows = allRows(documents, endsIn.length)
        for (let round = 0; round <= rounds; round++) {
          const hasEnded = (rollout: number) => endsIn[rollout] <= round
          const before = rows
          rows = rowsLeft(before, hasEnded)
          const waited = Array.from(rows.origin).filter((_, row) => rows.done[row] === 0)
          const going = endsIn.flatMap((_, rollout) => (hasEnded(rollout) ? [] : [rollout]))
          expect(waited.toSorted((a, b) => a - b)).toEqual(going)
          const [width, widthBefore] = [rows.origin.length / documents, before.origin.length / documents]
          rows.origin.forEach((rollout, row) => {
            const document = Math.floor(row / width)
            expect(Math.floor(rollout / branches)).toBe(document)
            expect(before.origin[document * widthBefore + rows.kept[row]]).toBe(rollout)
          })
        }
      })
    )
  })
})

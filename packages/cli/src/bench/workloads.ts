/** The plain workloads beside the step: next-token training on whole sequences, and decoding of ones that share nothing. */
import {
  adamwRule,
  Backend,
  draw,
  Evaluator,
  freshState,
  makeGenerator,
  makeLearner,
  makeProgramCache,
  Schedule,
  Supervised
} from "@foretoken/core"
import type { LoadedModel } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { makeMeter } from "./meter.ts"

export interface Sequences {
  readonly batch: number
  readonly length: number
}

/** Seconds of an update: forward and backward; and the rest, which is clipping and AdamW. */
interface Update {
  readonly train: number
  readonly optimizer: number
}

export const makeTraining = Effect.fnUntraced(function* (
  { stored: { config, weights } }: LoadedModel,
  { batch, length }: Sequences,
  seed: number
): Effect.fn.Return<Effect.Effect<Update, Error>, Error, Backend | Scope.Scope> {
  const { thread } = yield* Backend
  const meter = makeMeter((yield* thread({ name: "learner" })).backend)
  const optimizer = { rule: adamwRule({ learningRate: 1e-5 }), schedule: Schedule.constant(1), maxNorm: 1 }
  const programs = yield* makeProgramCache
  const learner = yield* makeLearner({ config, weights, optimizer, state: freshState, programs }).pipe(
    Effect.provideService(Backend, meter.backend)
  )
  const documents = Array.from({ length: batch }, (_, d) => {
    const draws = draw.uniforms(seed, ["bench", d], length)
    return { id: `${d}`, tokens: Int32Array.from(draws, (x) => Math.floor(x * config.vocabSize)) }
  })
  const micro = Supervised.nextTokenBatch({ head: new Int32Array(0) }, documents)
  return Effect.gen(function* () {
    meter.take()
    const began = performance.now()
    yield* learner.update([micro])
    const seconds = (performance.now() - began) / 1000
    const { train, compile } = meter.take()
    return { train, optimizer: seconds - train - compile }
  })
})

/**
 * Seconds of a decoding. Each sequence is a rollout of one anchor at the beginning of a document, so that none sees
 * anything but itself.
 */
export const makeDecoding = Effect.fnUntraced(function* (
  { stored: { config, weights } }: LoadedModel,
  { batch, length }: Sequences,
  seed: number
): Effect.fn.Return<Effect.Effect<number, Error>, Error, Backend | Scope.Scope> {
  const sampling = { _tag: "temperature", temperature: 1 } as const
  const settings = { groupSize: batch, maxTokens: length, sampling, stop: [] }
  const { thread } = yield* Backend
  const onThread = Effect.provideService(Backend, (yield* thread({ name: "sampler" })).backend)
  const generator = yield* onThread(makeGenerator(config, settings, yield* makeProgramCache))
  const resident = yield* onThread(Evaluator.uploadWeights(weights))
  const request = {
    trunk: { documents: 1, length: 1, tokens: Int32Array.of(0) },
    positions: 1,
    anchors: Int32Array.of(0),
    tail: Int32Array.of(1),
    uniforms: draw.uniforms(seed, ["bench"], batch * length)
  }
  return Effect.gen(function* () {
    const began = performance.now()
    yield* generator.generate(resident, request)
    return (performance.now() - began) / 1000
  })
})

/**
 * Two updates of a model of eight layers on onnxruntime, in a process of its own, so that its memory can be told:
 * `node trainOnce.ts all|layers` writes { bytes, loss, weights }: by how much the most memory grew after the model was
 * there, the loss of the second update, and the weights after it, some of each.
 */
import {
  adamwRule,
  freshState,
  initialWeights,
  llamaFeatures,
  makeLearner,
  makeModelConfig,
  makeProgramCache,
  Schedule,
  Supervised
} from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect, Result } from "effect"

const remember = process.argv[2] === "layers" ? "layers" : "all"
const config = Result.getOrThrow(
  makeModelConfig({
    ...llamaFeatures,
    vocabSize: 64,
    hiddenSize: 64,
    intermediateSize: 256,
    layers: 8,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    tieWordEmbeddings: true,
    maxPositions: 512,
    bos: { _tag: "none" },
    eos: { _tag: "none" }
  })
)
const documents = Array.from({ length: 16 }, (_, d) => ({
  id: `${d}`,
  tokens: Int32Array.from({ length: 256 }, (_, i) => (i * (d + 3) + d * d) % 64)
}))
const program = Effect.gen(function* () {
  const learner = yield* makeLearner({
    config,
    weights: initialWeights(config, 1),
    optimizer: { rule: adamwRule({ learningRate: 1e-3 }), schedule: Schedule.constant(1), maxNorm: 1 },
    state: freshState,
    programs: yield* makeProgramCache,
    remember
  })
  const batch = Supervised.nextTokenBatch({ head: new Int32Array(0) }, documents)
  const before = process.memoryUsage.rss()
  yield* learner.update([batch])
  const { loss } = yield* learner.update([batch])
  const bytes = process.resourceUsage().maxRSS * 1024 - before
  const weights = Object.values(yield* learner.snapshot).flatMap(({ data }) => [...data.subarray(0, 16)])
  process.stdout.write(JSON.stringify({ bytes, loss, weights }))
})
await Effect.runPromise(Effect.scoped(Effect.provide(program, Onnx.layer({ device: "cpu" }))))

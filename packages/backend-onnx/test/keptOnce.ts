/**
 * What onnxruntime takes beside the weights for one run of a model whose weights are kept in bf16, in a process of its own:
 * `node keptOnce.ts score|sample|all|layers` (the latter two: an update of adapters that remembers so much) writes { bytes, wide }: by how much the most memory grew during the run, and what the weights
 * would take in f32.
 */
import {
  adamwRule,
  Evaluator,
  freshState,
  HostTensor,
  llamaFeatures,
  makeGenerator,
  makeLearner,
  makeModelConfig,
  makeProgramCache,
  makeScorer,
  parameterCount,
  Schedule,
  sizeOf,
  Supervised,
  trainableWeights,
  weightShapes,
  withLora
} from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect, Result } from "effect"

const config = Result.getOrThrow(
  makeModelConfig({
    ...llamaFeatures,
    vocabSize: 64,
    hiddenSize: 512,
    intermediateSize: 2048,
    layers: 10,
    heads: 8,
    kvHeads: 8,
    headDim: 64,
    tieWordEmbeddings: true,
    maxPositions: 512,
    bos: { _tag: "none" },
    eos: { _tag: "none" }
  })
)

/** 0.0078 everywhere. */
const weights = Object.fromEntries(
  [...weightShapes(config)].map(([name, shape]) => [
    name,
    HostTensor.half("bf16", shape, new Uint16Array(sizeOf(shape)).fill(0x3c00))
  ])
)
const trunk = { documents: 1, length: 8, tokens: Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8) }

const use = process.argv[2]

/** An update of adapters of rank 2. */
const update = Effect.fnUntraced(function* (remember: "all" | "layers") {
  const adapted = Result.getOrThrow(withLora({ config, weights, tokenizerFiles: {} }, "constants", { rank: 2 }))
  const { update } = yield* makeLearner({
    ...adapted,
    trainable: Result.getOrThrow(trainableWeights(adapted.config, [])),
    optimizer: { rule: adamwRule({ learningRate: 1e-3 }), schedule: Schedule.constant(1), maxNorm: 1 },
    state: freshState,
    programs: yield* makeProgramCache,
    remember
  })
  return update([Supervised.nextTokenBatch({ head: new Int32Array(0) }, [{ id: "0", tokens: trunk.tokens }])])
})

const program = Effect.gen(function* () {
  const programs = yield* makeProgramCache
  const learn = use === "all" || use === "layers" ? [yield* update(use)] : []
  const resident = learn.length > 0 ? {} : yield* Evaluator.moveWeights(weights)
  const before = process.memoryUsage.rss()
  if (learn.length > 0) yield* learn[0]
  else if (use === "score") yield* (yield* makeScorer(config, programs)).score(resident, trunk)
  else {
    const settings = { groupSize: 2, maxTokens: 4, sampling: { _tag: "greedy" }, stop: [] } as const
    const request = { trunk, positions: 1, anchors: Int32Array.of(8), tail: Int32Array.of(9) }
    const { generate } = yield* makeGenerator(config, settings, programs)
    yield* generate(resident, { ...request, uniforms: new Float32Array(8) })
  }
  const bytes = process.resourceUsage().maxRSS * 1024 - before
  process.stdout.write(JSON.stringify({ bytes, wide: 4 * parameterCount(config) }))
})
await Effect.runPromise(Effect.scoped(Effect.provide(program, Onnx.layer({ device: "cpu" }))))

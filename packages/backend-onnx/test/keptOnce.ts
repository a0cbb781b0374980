/**
 * What onnxruntime takes beside the weights for one run of a model whose weights are kept in bf16, in a process of its own:
 * `node keptOnce.ts score|sample` writes { bytes, wide }: by how much the most memory grew during the run, and what the weights
 * would take in f32.
 */
import {
  Evaluator,
  HostTensor,
  llamaFeatures,
  makeGenerator,
  makeModelConfig,
  makeProgramCache,
  makeScorer,
  parameterCount,
  weightShapes
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
  [...weightShapes(config)].map(([name, shape]) => [name, HostTensor.fill("bf16", shape, 0x3c00)])
)
const trunk = { documents: 1, length: 8, tokens: Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8) }

const program = Effect.gen(function* () {
  const resident = yield* Evaluator.moveWeights(weights)
  const programs = yield* makeProgramCache
  const before = process.memoryUsage.rss()
  if (process.argv[2] === "score") yield* (yield* makeScorer(config, programs)).score(resident, trunk)
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

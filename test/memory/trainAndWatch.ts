/**
 * Trains a small model for so many steps, on documents of one to six stories that are cut into windows of at most 112 tokens, and
 * writes what the process holds in memory (RSS) after each step, in bytes, as a JSON array. `leak` makes the program wrong on
 * purpose: it keeps one more buffer on the backend from every step on, the size of one weight.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  Backend,
  Corpus,
  draw,
  HostTensor,
  initialWeights,
  Optimizer,
  Pipeline,
  presetConfig,
  ReplayBuffer,
  Reward,
  Sampler,
  Synthetic,
  Template,
  Verifier
} from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect, Result, Scope } from "effect"

const steps = Number(process.argv[2])
const leaks = process.argv[3] === "leak"
const { tokenizer } = Synthetic
const preset = presetConfig("micro", {
  vocabSize: tokenizer.vocabSize,
  bos: { _tag: "one", id: tokenizer.bos ?? 0 },
  eos: { _tag: "one", id: tokenizer.eos ?? 0 }
})
const config = { ...Result.getOrThrow(preset), layers: 1 }

const story = (index: number) => Synthetic.document({ seed: 5, split: "train", index }).text
const documents = Array.from({ length: 400 }, (_, d) => {
  const [share] = draw.uniforms(7, ["stories", d], 1)
  const count = Math.max(1, Math.ceil(6 * share ** 2))
  return { id: `${d}`, text: Array.from({ length: count }, (_story, i) => story(6 * d + i)).join("") }
})

/** The share of tokens with even numbers: something that a model can learn from its first step on. */
const even = Reward.pure(
  "even",
  ({ rollout: { completion } }) => completion.tokens.filter((id) => id % 2 === 0).length / completion.tokens.length
)

const pipeline = Pipeline.make({
  policy: { stored: { config, weights: initialWeights(config, 1), tokenizerFiles: {} }, tokenizer },
  problems: Corpus.fromDocuments("varied", documents).pipe(
    Corpus.nextToken({ minEntropy: 0, minimumContext: 4, positionsPerDocument: 2, maxTokens: 112 })
  ),
  template: Template.compact,
  sampler: Sampler.make({ groupSize: 3, temperature: 1, maxTokens: 16 }),
  verifier: Verifier.make(even),
  buffer: ReplayBuffer.make(),
  optimizer: Optimizer.make({ learningRate: 1e-4 }),
  batch: { documentsPerStep: 2, documentsPerUnit: 2, shuffleBuffer: 32 }
})

const root = mkdtempSync(join(tmpdir(), "foretoken-memory-"))
const bytes: Array<number> = []
const weight = HostTensor.f32([352, 128], new Float32Array(352 * 128).fill(1))
const program = Effect.gen(function* () {
  const { upload } = yield* Backend
  const scope = yield* Effect.scope
  const onStep = () =>
    Effect.gen(function* () {
      if (leaks) yield* Effect.orDie(Scope.provide(upload(weight), scope))
      bytes.push(process.memoryUsage.rss())
    })
  return yield* Pipeline.run(pipeline, { steps, seed: 1, run: join(root, "run"), onStep })
})
try {
  await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(Onnx.layer({ device: "cpu" }))))
} finally {
  rmSync(root, { recursive: true, force: true })
}
process.stdout.write(JSON.stringify(bytes))

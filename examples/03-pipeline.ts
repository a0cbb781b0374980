import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { Advantage, Corpus, Loss, Optimizer, Pipeline, ReplayBuffer, Reward, Sampler, Verifier } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { corpus, model } from "./given.ts" // paths on the command line, or small stand-ins

const pipeline = Pipeline.make({
  policy: { model },
  problems: Corpus.jsonl(corpus, { field: "answer" }).pipe(
    Corpus.nextToken({ minEntropy: 1.0, positionsPerDocument: 8 })
  ),
  sampler: Sampler.make({ groupSize: 8, temperature: 0.8, maxTokens: 64 }),
  verifier: Verifier.make(Reward.prefixMatch),
  buffer: ReplayBuffer.make({ capacity: 512, maxPolicyAge: 1 }),
  optimizer: Optimizer.make({
    advantage: Advantage.grpo,
    loss: Loss.clipped({ low: 0.2, high: 0.28 }),
    learningRate: 1e-6
  })
})

Pipeline.run(pipeline, { steps: 200, seed: 7, run: "runs/first" }).pipe(
  Effect.provide(Onnx.layer({ device: "cpu" })), // switch backends here
  NodeRuntime.runMain
)

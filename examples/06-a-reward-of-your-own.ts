// 06: a reward of your own, in a run: held to its claims by the laws first, so that a wrong one trains nothing.
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { Corpus, Optimizer, Pipeline, ReplayBuffer, Reward, Sampler, Verifier } from "@foretoken/core"
import { laws } from "@foretoken/core/testing"
import { Onnx } from "@foretoken/backend-onnx"
import { corpus, model } from "./given.ts"

const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39

/** The share of the completion that is digits: a little help on the way, in a corpus where numbers follow. */
const digits = Reward.pure(
  "digits",
  ({ rollout }) => rollout.bytes.filter(isDigit).length / Math.max(1, rollout.bytes.length),
  { bounds: { low: 0, high: 1 } }
)
const reward = Reward.weighted([1, Reward.prefixMatch], [0.1, digits])

const pipeline = Pipeline.make({
  policy: { model },
  problems: Corpus.jsonl(corpus, { field: "answer" }).pipe(
    Corpus.nextToken({ minEntropy: 1, positionsPerDocument: 4 })
  ),
  sampler: Sampler.make({ temperature: 1, maxTokens: 16 }),
  verifier: Verifier.make(reward),
  buffer: ReplayBuffer.make(),
  optimizer: Optimizer.make({ learningRate: 1e-2 })
})

const onStep = ({ step, metrics }: Pipeline.StepReport) =>
  Console.log(`step ${step}: reward ${metrics["reward/mean"].toFixed(4)}`)

const lawful = Effect.forEach(laws.reward(reward), ({ name, check }) =>
  Effect.andThen(Effect.promise(check), Console.log(`✔ ${name}`))
)
const run = Pipeline.run(pipeline, { steps: 8, seed: 7, run: "runs/digits", onStep })
NodeRuntime.runMain(Effect.andThen(lawful, Effect.provide(run, Onnx.layer({ device: "cpu" }))))

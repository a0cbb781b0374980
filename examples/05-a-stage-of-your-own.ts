// 05: a stage of your own: a replay buffer that keeps only groups with something to learn from. The reward: brevity.
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { Corpus, DynamicSampling, Optimizer, Pipeline, ReplayBuffer, Reward, Sampler, Verifier } from "@foretoken/core"
import type { Protocol } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { corpus, model } from "./given.ts"

/** What an actor of this stage answers to `Put` and `Take`. It runs one message at a time, so plain state will do. */
const handlers = Effect.sync(() => {
  let stored: Protocol.Success<ReplayBuffer.ReplayBufferProtocol, "Take">["units"] = []
  return {
    Put: ({ unit }: Protocol.Payload<ReplayBuffer.ReplayBufferProtocol, "Put">) =>
      Effect.sync(() => void (stored = [...stored, unit])),
    Take: () => {
      const all = stored.toSorted((a, b) => a.index - b.index) // the order of the problems, not of arrival
      const units = all.map((unit) => ({ ...unit, groups: unit.groups.filter(DynamicSampling.hasSignal) }))
      const stale = all.flatMap(({ groups }) => groups).length - units.flatMap(({ groups }) => groups).length
      stored = []
      return Effect.succeed({ units, stale }) // what it left out it has to say: a run ends rather than lose groups
    }
  }
})

const pipeline = Pipeline.make({
  policy: { model },
  problems: Corpus.jsonl(corpus, { field: "answer" }).pipe(
    Corpus.nextToken({ minEntropy: 1, positionsPerDocument: 4 })
  ),
  sampler: Sampler.make({ temperature: 1, maxTokens: 16 }),
  verifier: Verifier.make(Reward.pure("brevity", ({ rollout }) => -rollout.bytes.length)),
  buffer: { ...ReplayBuffer.make(), make: () => handlers },
  optimizer: Optimizer.make({ learningRate: 3e-3 })
})

const onStep = ({ step, metrics }: Pipeline.StepReport) =>
  Console.log(`step ${step}: ${metrics["completion/tokens"].toFixed(1)} tokens a completion`)

const run = Pipeline.run(pipeline, { steps: 8, seed: 7, run: "runs/brevity", onStep })
NodeRuntime.runMain(Effect.provide(run, Onnx.layer({ device: "cpu" })))

/**
 * What the ledger and the checkpoints of a run cost, as shares of the time that it took: a training of 64 rollouts of 32 tokens
 * a step, with a checkpoint every so many steps.
 *
 *     node -C @foretoken/source bench/ledger.ts MODEL CORPUS [STEPS 60] [CHECKPOINT EVERY 20]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Corpus, Optimizer, Pipeline, ReplayBuffer, Reward, Sampler, Verifier } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import * as Effect from "effect/Effect"

const [model, corpus, steps = "60", every = "20"] = process.argv.slice(2)
if (corpus === undefined) {
  process.stderr.write("bench/ledger.ts MODEL CORPUS [STEPS] [CHECKPOINT EVERY]: a model and a corpus were expected\n")
  process.exit(2)
}
if (!(Number(steps) > Number(every))) {
  process.stderr.write(
    `bench/ledger.ts: steps up to the first checkpoint are not counted, so more than ${every} are needed, not ${steps}\n`
  )
  process.exit(2)
}

const root = mkdtempSync(join(tmpdir(), "foretoken-bench-"))
const run = join(root, "run")
const pipeline = Pipeline.make({
  policy: { model },
  problems: Corpus.jsonl(corpus, { field: "answer" }).pipe(
    Corpus.nextToken({ minEntropy: 0, positionsPerDocument: 4, maxTokens: 192 })
  ),
  sampler: Sampler.make({ groupSize: 8, temperature: 1, maxTokens: 32 }),
  // Differs within groups, so that every step has an update.
  verifier: Verifier.make(Reward.pure("every other", ({ rollout }) => rollout.index % 2)),
  buffer: ReplayBuffer.make(),
  optimizer: Optimizer.make({ learningRate: 1e-6 }),
  batch: { documentsPerStep: 2, documentsPerUnit: 2 }
})

const rows = async () => {
  const options = { steps: Number(steps), seed: 1, run, checkpointEvery: Number(every) }
  await Effect.runPromise(Effect.provide(Pipeline.run(pipeline, options), Onnx.layer({ device: "cpu" })))
  const lines = readFileSync(join(run, "metrics.jsonl"), "utf8").trimEnd().split("\n")
  return lines.map((line): Record<string, number> => JSON.parse(line))
}

try {
  // The first steps compile; a row has the ledger's and the checkpoint's seconds since the row before.
  const own = (await rows()).slice(Number(every))
  const total = (...names: ReadonlyArray<string>) =>
    own.reduce((sum, row) => sum + names.reduce((part, name) => part + row[name], 0), 0)
  const [ledger, checkpoint] = [total("seconds/ledger"), total("seconds/checkpoint")]
  const all = total("seconds/wait", "seconds/update") + checkpoint
  const share = (seconds: number) => `${((100 * seconds) / all).toFixed(2)} %`
  process.stdout.write(
    [
      `${own.length} steps of ${(all / own.length).toFixed(3)} s, a checkpoint every ${every}`,
      `ledger       ${share(ledger)}  ${((1000 * ledger) / own.length).toFixed(2)} ms a step`,
      `checkpoints  ${share(checkpoint)}  ${((1000 * checkpoint * Number(every)) / own.length).toFixed(0)} ms each`,
      `together     ${share(ledger + checkpoint)}`,
      ""
    ].join("\n")
  )
} finally {
  rmSync(root, { recursive: true, force: true })
}
process.exit()

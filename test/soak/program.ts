/** What the soak kills: a run of small parts on threads, begun or gone on with. Says every step and the end, a line of JSON each. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Corpus from "../../packages/core/src/data/Corpus.ts"
import * as Optimizer from "../../packages/core/src/pipeline/Optimizer.ts"
import * as Pipeline from "../../packages/core/src/pipeline/Pipeline.ts"
import * as Loss from "../../packages/core/src/rl/loss.ts"
import { Backend } from "../../packages/core/src/tensor/Backend.ts"
import { Reference } from "../../packages/core/src/tensor/Reference.ts"
import { startThread } from "../../packages/core/src/thread/startThread.ts"
import { dials, pipelineOf } from "../../packages/core/test/pipeline/fixtures.ts"

export interface Given {
  readonly run: string
  readonly steps: number
  readonly lag: number
  readonly samplers: number
}

const given: Given = JSON.parse(process.argv[2])

const module = new URL("../../packages/core/test/thread/brokenBackend.ts", import.meta.url).href
const threads = Layer.effect(
  Backend,
  Effect.map(Backend, (reference) => ({
    ...reference,
    thread: (options: Parameters<typeof reference.thread>[0]) =>
      startThread({ module, options: {}, grace: 500 }, options)
  }))
).pipe(Layer.provide(Reference.layer))

const pipeline = pipelineOf({
  problems: dials.pipe(
    Corpus.nextToken({ minEntropy: 0.5, minimumContext: 8, positionsPerDocument: 1, maxTokens: 24 })
  ),
  batch: { documentsPerStep: 2, documentsPerUnit: 1, shuffleBuffer: 8 },
  lag: given.lag,
  optimizer: Optimizer.make({
    learningRate: 0.01,
    ...(given.lag === 0 ? {} : { loss: Loss.truncated({ cap: 2 }) })
  })
})

const say = (line: object) => Effect.sync(() => void process.stdout.write(`${JSON.stringify(line)}\n`))
const onStep = ({ step, metrics }: Pipeline.StepReport) => {
  // Nobody sent it: it tells `killWorkers` of the step.
  process.emit("SIGUSR2")
  return say({ step, restarted: metrics["actors/restarted"], aside: metrics["problems/aside"] })
}

const { run, steps, samplers } = given
const shared = { run, samplers, onStep }
const life = existsSync(join(run, "manifest.json"))
  ? Pipeline.resume(pipeline, { ...shared, say: (said) => say({ said }) })
  : Pipeline.run(pipeline, { ...shared, steps, seed: 7, checkpointEvery: 1 })

await Effect.runPromise(
  life.pipe(
    Effect.provide(threads),
    Effect.flatMap(({ weightsHash }) => say({ ended: weightsHash })),
    Effect.catchCause((cause) => say({ failed: String(cause) }))
  )
)
process.exit()

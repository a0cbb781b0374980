/**
 * Does sampling step k + 1 beside the update of step k beat taking turns, and how many threads should onnxruntime have?
 *
 *   node -C @foretoken/source bench/threads.ts MODEL [steps]
 *
 * A step is 2 documents x 4 positions x 8 rollouts, trunk 192, 32 new tokens: rollouts, update, policy to the samplers.
 *   here       all on the main thread, by turns
 *   turns      sampler and learner on threads of their own, by turns
 *   beside     the same, side by side: rollouts of step k are of policy k - 1
 *   halves     two samplers with a document each, then the learner
 */
import {
  adamwRule,
  Advantage,
  Backend,
  draw,
  freshState,
  loadPolicy,
  Loss,
  makeLearner,
  makeProgramCache,
  Optimizer,
  Prediction,
  Rollout,
  Sampler,
  Schedule,
  Template,
  weightsHash
} from "@foretoken/core"
import type { LearnerState, LoadedModel, RunContext, KeptWeights } from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect } from "effect"

const [model, steps = "8"] = process.argv.slice(2)
const [documents, positions, groupSize, context, maxTokens] = [2, 4, 8, 192, 32]
/** Steps that compile and warm up. */
const warmUp = 2

type Mode = "here" | "turns" | "beside" | "halves"

const measure = Effect.fnUntraced(function* (mode: Mode, { stored, tokenizer }: LoadedModel) {
  const { config, weights } = stored
  const main = yield* Backend
  const backendOf = (name: string) =>
    mode === "here" ? Effect.succeed(main) : Effect.map(main.thread({ name }), ({ backend }) => backend)
  const frame = { head: new Int32Array(0), tail: Int32Array.of(1) }
  const run: RunContext = { seed: 0, config, tokenizer, template: Template.compact, frame, stop: [] }
  const stage = Sampler.make({ groupSize, temperature: 1, maxTokens })
  const samplers = yield* Effect.forEach(Array.from({ length: mode === "halves" ? 2 : 1 }).keys(), (i) =>
    Effect.flatMap(backendOf(`sampler ${i}`), (backend) => Effect.provideService(stage.make(run), Backend, backend))
  )
  const optimizer = { rule: adamwRule({ learningRate: 1e-6 }), schedule: Schedule.constant(1), maxNorm: 1 }
  const programs = yield* makeProgramCache
  const learner = yield* Effect.provideService(
    makeLearner({ config, weights, optimizer, state: freshState, programs }),
    Backend,
    yield* backendOf("learner")
  )

  const load = Effect.fnUntraced(function* (weights: KeptWeights, updates: number) {
    const policy = { version: Rollout.PolicyVersion.make(weightsHash(weights)), updates, weights }
    yield* Effect.forEach(samplers, ({ Sync }) => Sync({ policy }), { concurrency: "unbounded", discard: true })
    return policy
  })
  const share = documents / samplers.length
  const sample = Effect.fnUntraced(function* (step: number, version: Rollout.PolicyVersion) {
    const parts = yield* Effect.forEach(
      samplers.entries(),
      ([i, { Sample }]) => Sample({ unit: unitOf(config.vocabSize, step, i * share, share), version }),
      { concurrency: "unbounded" }
    )
    return parts.flat()
  })
  let [spare, last]: [LearnerState, LearnerState] = [freshState, freshState]
  const learn = Effect.fnUntraced(function* (rollouts: Effect.Success<ReturnType<typeof sample>>) {
    const groups = rollouts.map(({ problem, rollouts }) => {
      const verdict = (index: number) => ({ _tag: "Scored", value: index % 2, parts: {} }) as const
      const scored = rollouts.map((rollout, i) => ({ rollout, prediction: Prediction.noBox, verdict: verdict(i) }))
      return Advantage.assign(Advantage.grpo, { problem, rollouts: scored })
    })
    const settings = { loss: Loss.clipped({ low: 0.2, high: 0.28 }), documentsPerMicroBatch: documents }
    const target = { spare: spare.moments, arrived: () => Effect.void }
    const { weights, state } = yield* learner.updateAndCopy(Optimizer.microBatches(run, settings, groups), target)
    ;[spare, last] = [last, state]
    return weights
  })

  const milliseconds: Array<number> = []
  let policy = yield* load(weights, 0)
  let rollouts = yield* sample(0, policy.version)
  for (let step = 1; step <= Number(steps) + warmUp; step++) {
    const began = performance.now()
    if (mode === "beside") {
      const both = Effect.all([sample(step, policy.version), learn(rollouts)], { concurrency: 2 })
      const [next, weights] = yield* both
      policy = yield* load(weights, step)
      rollouts = next
    } else {
      policy = yield* load(yield* learn(rollouts), step)
      rollouts = yield* sample(step, policy.version)
    }
    milliseconds.push(performance.now() - began)
  }
  const warm = milliseconds.slice(warmUp).toSorted((a, b) => a - b)
  return warm[Math.floor(warm.length / 2)]
}, Effect.scoped)

/** Documents of random tokens, asked in their second halves. */
const unitOf = (vocabSize: number, step: number, from: number, count: number) => ({
  index: step,
  documents: Array.from({ length: count }, (_, i) => {
    const id = `${step}/${from + i}`
    const draws = draw.uniforms(0, ["threads", id], context + 1)
    const document = { id, tokens: Int32Array.from(draws, (x) => Math.floor(x * vocabSize)) }
    const problems = Array.from({ length: positions }, (_, k) => {
      const anchor = context - Math.floor(((positions - 1 - k) * context) / (2 * positions))
      return { id: `${id}@${anchor}`, document, anchor, continuation: { bytes: Uint8Array.of(0), boundaries: [1] } }
    })
    return { epoch: 0, problems }
  })
})

const loaded = await Effect.runPromise(loadPolicy({ model }))
for (const [mode, threads] of [
  ["here", 2],
  ["turns", 2],
  ["turns", 1],
  ["beside", 2],
  ["beside", 1],
  ["halves", 2],
  ["halves", 1]
] as const) {
  const backend = Onnx.layer({ device: "cpu", threads })
  const median = await Effect.runPromise(Effect.provide(measure(mode, loaded), backend))
  process.stdout.write(`${mode.padEnd(8)} ${threads} threads of an operator: ${median.toFixed(0)} ms a step\n`)
}

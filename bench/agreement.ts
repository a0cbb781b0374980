/** That the torch peer does the same work: the same tokens from the same draws, log-probabilities, loss and gradient. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import {
  adamwRule,
  Advantage,
  draw,
  Evaluator,
  freshState,
  loadPolicy,
  Loss,
  makeGenerator,
  makeLearner,
  makeProgramCache,
  Optimizer,
  Prediction,
  Rollout,
  Schedule,
  Template
} from "@foretoken/core"
import { Onnx } from "@foretoken/backend-onnx"
import { Effect } from "effect"
import { scratch, torchStep } from "./contenders.ts"

const text =
  "Once upon a time there was a little girl who lived by the sea. Every morning she walked down to the water and looked " +
  "for shells. One day she found a box with a golden key in it, and a small letter that said: do not open this before " +
  "the moon is full. She ran home to show it to her brother, who was three years older and knew a lot about keys."
const [documents, positions, group, context, tokens] = [2, 2, 4, 32, 24]

export interface Agreement {
  readonly rollouts: number
  /** Rollouts whose tokens are all the same */
  readonly sameTokens: number
  /** Largest difference in log-probability up to the first token that differs, nats */
  readonly logprobGap: number
  readonly lossGap: number
  /** Of the global norms, relative */
  readonly gradientNormGap: number
}

export const agreement = (model: string): Promise<Agreement> =>
  Effect.runPromise(compare(model).pipe(Effect.scoped, Effect.provide(Onnx.layer({ device: "cpu" }))))

const compare = Effect.fnUntraced(function* (model: string) {
  const { stored, tokenizer } = yield* loadPolicy({ model })
  const { config, weights } = stored
  const ids = tokenizer.encode(text)
  const texts = Array.from({ length: documents }, (_, d) => ids.slice(d * context, (d + 1) * context + 1))
  const places = Array.from({ length: positions }, (_, k) => context - (positions - 1 - k) * 7)
  const rows = documents * positions * group
  const uniforms = draw.uniforms(0, ["agreement"], tokens * rows)
  const tail = Int32Array.of(1)
  const advantages = Array.from(draw.uniforms(0, ["advantages"], rows), (x) => x - 0.5)

  const work = join(scratch, "work.json")
  const each = <A>(count: number, f: (i: number) => A) => Array.from({ length: count }, (_, i) => f(i))
  const given = {
    trunk: texts.map((tokens) => Array.from(tokens.subarray(0, context))),
    anchors: texts.map(() => places),
    tail: [1],
    uniforms: each(tokens, (i) => Array.from(uniforms.subarray(i * rows, (i + 1) * rows))),
    advantages: each(documents, (d) => advantages.slice((d * rows) / documents, ((d + 1) * rows) / documents))
  }
  writeFileSync(work, JSON.stringify(given))
  const sizes = ["--context", `${context}`, "--tokens", `${tokens}`, "--steps", "1", "--warmup", "0"]
  const theirs = torchStep(["--model", model, "--work", work, "--emit", ...sizes])

  const programs = yield* makeProgramCache
  const sampling = { _tag: "temperature", temperature: 1 } as const
  const settings = { groupSize: group, maxTokens: tokens, sampling, stop: [] }
  const generator = yield* makeGenerator(config, settings, programs)
  const ours = yield* generator.generate(yield* Evaluator.uploadWeights(weights), {
    trunk: { documents, length: context, tokens: Int32Array.from(given.trunk.flat()) },
    positions,
    anchors: Int32Array.from(given.anchors.flat()),
    tail,
    uniforms
  })

  // The update is compared on their tokens, so that one draw at the edge of a token does not hide the rest.
  const drawn = theirs["tokens"] as Array<Array<number>> // --emit: [rollouts, tokens]
  const logprobs = theirs["logprobs"] as Array<Array<number>>
  const groups = each(documents * positions, (g) => {
    const d = Math.floor(g / positions)
    const anchor = places[g % positions]
    const continuation = { bytes: Uint8Array.of(0), boundaries: [1] }
    const problem = { id: `${g}`, document: { id: `${d}`, tokens: texts[d] }, anchor, continuation }
    const rollouts = each(group, (i) => {
      const row = g * group + i
      const rollout = {
        id: `${row}`,
        problem,
        index: i,
        policyVersion: Rollout.PolicyVersion.make("0".repeat(64)),
        completion: { tokens: Int32Array.from(drawn[row]), ended: "length" as const },
        behaviourLogprobs: Rollout.behaviourLogprobs(Float32Array.from(logprobs[row])),
        temperature: 1,
        bytes: Uint8Array.of(0)
      }
      const verdict = { _tag: "Scored" as const, value: 0, parts: {} }
      return { rollout, prediction: Prediction.truncated, verdict, advantage: advantages[row] }
    })
    return { problem, rollouts, excluded: 0 }
  })
  const context_ = {
    frame: { head: new Int32Array(0), tail },
    template: Template.compact,
    tokenizer,
    config,
    seed: 0,
    stop: []
  }
  const { settings: learning } = Optimizer.make({
    loss: Loss.clipped({ low: 0.2, high: 0.28 }),
    advantage: Advantage.grpo
  })
  const batches = Optimizer.microBatches(context_, learning, groups)
  const optimizer = { rule: adamwRule({ learningRate: 1e-5 }), schedule: Schedule.constant(1), maxNorm: 1 }
  const learner = yield* makeLearner({ config, weights, optimizer, state: freshState, programs })
  const updated = yield* learner.update(batches)

  const same = ours.map((rollout, row) => {
    const at = rollout.tokens.findIndex((token, i) => token !== drawn[row][i])
    return at < 0 ? tokens : at
  })
  const gaps = ours.flatMap((rollout, row) => each(same[row], (i) => Math.abs(rollout.logprobs[i] - logprobs[row][i])))
  const found: Agreement = {
    rollouts: rows,
    sameTokens: same.filter((length) => length === tokens).length,
    logprobGap: Math.max(...gaps),
    lossGap: Math.abs(updated.loss - Number(theirs["loss"])),
    gradientNormGap: Math.abs(updated.grad_norm / Number(theirs["gradNorm"]) - 1)
  }
  return found
})

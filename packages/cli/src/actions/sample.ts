import { draw, Evaluator, makeGenerator, makeProgramCache, makeRunContext, Template } from "@foretoken/core"
import type { ModelConfig, RunContext } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BackendChoice } from "../backend.ts"
import { backendLayer } from "../backend.ts"
import { InputError } from "../failure.ts"
import type { TemplateName } from "../flags.ts"
import { openReadModel } from "../model.ts"
import { samplingAt } from "../sampling.ts"
import { templateOf } from "../training/template.ts"

interface Input extends BackendChoice {
  readonly model: string
  readonly storage: "f32" | "file"
  readonly prompt: string
  /** The question about the prompt; undefined: none, the rollouts go on from it. */
  readonly template: TemplateName | undefined
  readonly n: number
  readonly tokens: number
  readonly temperature: number
  readonly seed: number
}

interface Output {
  readonly prompt: string
  /** Of the prompt, with what the tokenizer or the template puts around it. */
  readonly ids: ReadonlyArray<number>
  readonly rollouts: ReadonlyArray<{
    readonly text: string
    readonly tokens: ReadonlyArray<number>
    readonly logprobs: ReadonlyArray<number>
    readonly ended: "stop" | "length"
  }>
}

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  sampled(input).pipe(Effect.provide(backendLayer(input)))

const sampled = Effect.fnUntraced(function* (input: Input) {
  const { prompt, n, tokens, temperature, seed } = input
  const loaded = yield* openReadModel(input)
  const { config, weights } = loaded
  const { tokenizer } = loaded
  const template = input.template === undefined ? Template.compact : yield* templateOf(input.template, tokenizer)
  const context = makeRunContext({ seed, config, tokenizer, template })
  const { stop } = context
  const ids = yield* promptIds(context, config, input)
  const settings = { groupSize: n, maxTokens: tokens, sampling: samplingAt(temperature), stop }
  const generator = yield* makeGenerator(config, settings, yield* makeProgramCache)
  // The trunk is the prompt without its last token: that one begins every branch, and predicts the first draw.
  const anchor = ids.length - 1
  const completions = yield* generator.generate(yield* Evaluator.moveWeights(weights), {
    trunk: {
      documents: 1,
      length: Math.max(1, anchor),
      tokens: Int32Array.from(anchor === 0 ? [0] : ids.subarray(0, anchor))
    },
    positions: 1,
    anchors: Int32Array.of(anchor),
    tail: ids.slice(anchor),
    uniforms: uniformsOf(seed, prompt, n, tokens)
  })
  return {
    prompt,
    ids: Array.from(ids),
    rollouts: completions.map(({ tokens: drawn, logprobs, ended }) => ({
      text: tokenizer.text(drawn),
      tokens: Array.from(drawn),
      logprobs: Array.from(logprobs),
      ended
    }))
  }
})

/** Under a template the prompt is a text like any other; alone it is ours, control tokens and all. */
const promptIds = Effect.fnUntraced(function* (
  { tokenizer, frame }: RunContext,
  { maxPositions }: ModelConfig,
  { prompt, template, tokens }: Input
) {
  const ids = yield* Effect.try({
    try: () =>
      template === undefined
        ? Int32Array.from([...tokenizer.prefix, ...tokenizer.encodePrompt(prompt, "opens")])
        : Int32Array.from([...frame.head, ...tokenizer.encode(prompt), ...frame.tail]),
    catch: (cause) => new InputError({ message: `--prompt: ${cause instanceof Error ? cause.message : String(cause)}` })
  })
  if (ids.length === 0) {
    return yield* new InputError({ message: "--prompt is empty; at least one token was expected to go on from" })
  }
  if (ids.length + tokens > maxPositions) {
    const message = `the prompt has ${ids.length} tokens and --tokens is ${tokens}; the model has ${maxPositions} positions for both`
    return yield* new InputError({ message })
  }
  return ids
})

/** [tokens, n], the draws of one rollout below each other. */
const uniformsOf = (seed: number, prompt: string, n: number, tokens: number): Float32Array => {
  const uniforms = new Float32Array(tokens * n)
  for (let rollout = 0; rollout < n; rollout++) {
    const draws = draw.rolloutUniforms(seed, { problem: `sample/${prompt}`, rollout }, tokens)
    draws.forEach((value, i) => (uniforms[i * n + rollout] = value))
  }
  return uniforms
}

export const show = ({ prompt, rollouts }: Output): string =>
  rollouts
    .map(({ text, logprobs, ended }, i) => {
      const total = logprobs.reduce((sum, logprob) => sum + logprob, 0)
      return `[${i}] log-probability ${total.toFixed(2)} of ${logprobs.length} tokens, ended by ${ended}\n${prompt}${text}\n`
    })
    .join("\n")

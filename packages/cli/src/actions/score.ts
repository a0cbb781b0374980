import { Batch, Corpus, Evaluator, makeProgramCache, makeScorer } from "@foretoken/core"
import type { Backend, KeptWeights, ModelConfig } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BackendChoice } from "../backend.ts"
import { backendLayer } from "../backend.ts"
import { InputError, UsageError } from "../failure.ts"
import { loadKept, openReadModel } from "../model.ts"
import { makeProgress } from "../Progress.ts"
import type { Reading, Totals } from "../readings.ts"
import { add, noTotals, readingOf, summary, totalsOf } from "../readings.ts"
import { table } from "../table.ts"
import type { Window } from "../windows.ts"
import { windowsOf } from "../windows.ts"

interface Input extends BackendChoice {
  readonly model: string
  readonly storage: "f32" | "file"
  readonly text: string | undefined
  readonly ids: string | undefined
  readonly corpus: string | undefined
  readonly field: string
  readonly windows: boolean
  readonly maxTokens: number | undefined
}

interface Summary {
  readonly nll: number
  readonly accuracy: number
  readonly tokens: number
}

type Output = (Reading & Summary) | CorpusOutput

interface CorpusOutput extends Summary {
  readonly documents: number
  /** With --windows. */
  readonly windows?: ReadonlyArray<{ readonly document: string } & Reading>
}

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> => {
  const { text, ids, corpus } = input
  const given = [
    ...(text === undefined ? [] : [scoreText(input, text)]),
    ...(ids === undefined ? [] : [scoreIds(input, ids)]),
    ...(corpus === undefined ? [] : [scoreCorpus(input, corpus)])
  ]
  if (given.length !== 1) {
    const message = `exactly one of --text, --ids and --corpus says what is scored; ${given.length} were given`
    return Effect.fail(new UsageError({ message }))
  }
  const scored: Effect.Effect<Output, Error, Backend | Scope.Scope> = given[0]
  return Effect.provide(scored, backendLayer(input))
}

const scoreIds = Effect.fnUntraced(function* (input: Input, text: string) {
  if (!/^\s*\d+(\s*,\s*\d+)*\s*$/.test(text)) {
    return yield* new UsageError({ message: `--ids is ${JSON.stringify(text)}; token ids such as 1,2,3 were expected` })
  }
  const ids = Int32Array.from(text.split(","), Number)
  const { config, weights } = yield* loadKept(input)
  const outside = text
    .split(",")
    .map(Number)
    .find((id) => id >= config.vocabSize)
  if (outside !== undefined) {
    const message = `--ids has ${outside}; the model has the tokens 0 to ${config.vocabSize - 1}`
    return yield* new InputError({ message })
  }
  return yield* scoreTokens(config, weights, ids, "--ids")
})

const scoreText = Effect.fnUntraced(function* (input: Input, text: string) {
  const { config, weights, tokenizer } = yield* openReadModel(input)
  const tokens = yield* Effect.try({
    try: () => tokenizer.encode(text),
    catch: (cause) => new InputError({ message: `--text: ${cause instanceof Error ? cause.message : String(cause)}` })
  })
  const ids = Int32Array.from([...tokenizer.prefix, ...tokens])
  return yield* scoreTokens(config, weights, ids, "--text")
})

const scoreTokens = Effect.fnUntraced(function* (
  config: ModelConfig,
  weights: KeptWeights,
  ids: Int32Array,
  flag: string
) {
  if (ids.length < 2) {
    const message = `${flag} has ${ids.length} tokens; at least 2 are needed for one to be predicted`
    return yield* new InputError({ message })
  }
  if (ids.length > config.maxPositions) {
    const message =
      `${flag} has ${ids.length} tokens and the model ${config.maxPositions} positions; ` +
      "--corpus FILE.txt scores a longer text in windows"
    return yield* new InputError({ message })
  }
  const scorer = yield* makeScorer(config, yield* makeProgramCache)
  const scores = yield* scorer.score(yield* Evaluator.moveWeights(weights), {
    documents: 1,
    length: ids.length,
    tokens: ids
  })
  return { ...readingOf(scores, 0, ids.length, ids), ...summary(totalsOf(scores, 0, ids.length, ids, 1)) }
})

/** Elements of the largest [D,T,vocabulary] array that a batch of windows may ask for: 128 MiB of f32. */
const largestLogits = 2 ** 25

const scoreCorpus = Effect.fnUntraced(function* (input: Input, name: string) {
  const corpus = yield* Corpus.open(name, { field: input.field })
  const { config, weights: kept, tokenizer } = yield* openReadModel(input)
  const windowLength = Math.min(input.maxTokens ?? 1024, config.maxPositions)
  const batch = Math.min(8, Math.max(1, Math.floor(largestLogits / (windowLength * config.vocabSize))))
  const scorer = yield* makeScorer(config, yield* makeProgramCache)
  const weights = yield* Evaluator.moveWeights(kept)
  const progress = yield* makeProgress({ title: "scoring", unit: "tokens", total: "unknown" })
  let totals: Totals = noTotals
  let documents = 0
  const windows: Array<{ readonly document: string } & Reading> = []

  const score = Effect.fnUntraced(function* (group: ReadonlyArray<Window>) {
    const packed = packWindows(group, config.maxPositions)
    const scores = yield* scorer.score(weights, packed)
    for (const [row, { document, ids, from }] of group.entries()) {
      totals = add(totals, totalsOf(scores, row, packed.length, ids, from))
      if (input.windows) windows.push({ document, ...readingOf(scores, row, packed.length, ids) })
    }
    yield* progress.update(totals.tokens)
  })

  yield* Corpus.documents(corpus).pipe(
    Stream.mapEffect((document) => {
      documents++
      return windowsOf(tokenizer, document, windowLength)
    }),
    Stream.flatMap((cut) => Stream.fromArray(cut)),
    Stream.grouped(batch),
    Stream.runForEach(score)
  )
  if (totals.tokens === 0) {
    const message = `${name}: no document has two tokens; at least 2 are needed for one to be predicted`
    return yield* new InputError({ message })
  }
  return { ...summary(totals), documents, ...(input.windows ? { windows } : {}) }
})

/** Windows are padded to a multiple of this, so that few shapes are compiled. */
const lengthMultiple = 64

const packWindows = (windows: ReadonlyArray<Window>, maxPositions: number) => {
  const rows = windows.map(({ document, ids }) => ({ id: document, tokens: ids }))
  const longest = Math.max(...rows.map(({ tokens }) => tokens.length))
  const trunkLength = Math.min(Batch.bucket(longest, lengthMultiple), maxPositions)
  return Batch.packTrunk(new Int32Array(0), rows, { trunkLength })
}

export const show = (output: Output): string => {
  const { nll, accuracy, tokens } = output
  const totals = `nll ${nll.toFixed(4)} nats (perplexity ${Math.exp(nll).toFixed(2)}), accuracy ${accuracy.toFixed(4)}, ${tokens} tokens`
  if (!("ids" in output)) return `${totals}, ${output.documents} documents`
  const rows = output.logprobs.map((logprob, i) =>
    [output.ids[i + 1], logprob.toFixed(4), output.argmax[i], output.entropy[i].toFixed(4)].map(String)
  )
  return [table(["token", "logprob", "argmax", "entropy"], rows), "", totals].join("\n")
}

import { Backend, Corpus, Difficulty, draw, Evaluation, Evaluator, loadPolicy, makeRunContext } from "@foretoken/core"
import { NextToken, Problems, Synthetic } from "@foretoken/core"
import { winnability } from "@foretoken/core"
import type { Evaluator as Evaluators, RunContext, Winnability } from "@foretoken/core"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { BackendChoice } from "../backend.ts"
import { backendLayer } from "../backend.ts"
import { InputError } from "../failure.ts"
import type { TemplateName } from "../flags.ts"
import { makeProgress } from "../Progress.ts"
import { samplingAt } from "../sampling.ts"
import { table } from "../table.ts"
import { templateOf } from "../training/template.ts"
import { winnabilityLine } from "../training/winnability.ts"

interface Input extends BackendChoice {
  readonly model: string
  readonly corpus: string
  readonly field: string
  readonly documents: number
  readonly minContext: number
  readonly context: number
  readonly positions: number | undefined
  readonly reasoned: boolean
  readonly template: TemplateName | undefined
  readonly maxTokens: number
  readonly temperature: number
  readonly seed: number
}

interface Output {
  readonly corpus: string
  readonly backend: string
  readonly documents: number
  /** Documents not longer than the minimum context. */
  readonly skipped: number
  readonly positions: number
  /** Which entropy the rows are cut by. */
  readonly entropy: string
  /** How many of the positions cannot be won under the template, whatever is answered. */
  readonly template: string
  readonly winnability: Winnability
  readonly direct: Evaluation.AccuracyTable
  /** With --reasoned: accuracy after thinking, how far it is above direct, and how completions ended. */
  readonly reasoned?: Evaluation.AccuracyTable
  readonly difference?: Evaluation.Interval
  readonly outcomes?: Readonly<Record<string, number>>
}

export const run = (input: Input): Effect.Effect<Output, Error, Scope.Scope> =>
  evaluated(input).pipe(Effect.provide(backendLayer(input)))

const documentsPerBatch = 4
/** Tokens of the true continuation that a reasoned prediction may cover. */
const horizon = 16

const evaluated = Effect.fnUntraced(function* (input: Input) {
  const { seed } = input
  const { name: backend } = yield* Backend
  const generated = { seed: 0, split: "test", count: input.documents } as const
  const corpus = yield* Corpus.open(input.corpus, { field: input.field, generated })
  const { stored, tokenizer } = yield* loadPolicy({ model: input.model })
  const template = yield* templateOf(input.template, tokenizer)
  const context = makeRunContext({ seed, config: stored.config, tokenizer, template })
  const { documents, skipped } = yield* heldOutDocuments(input, corpus, context)
  const sampling = samplingAt(input.temperature)
  const evaluator = yield* Evaluator.makeEvaluator({ context, maxTokens: input.maxTokens, sampling, documentsPerBatch })
  const { weights } = stored
  const progress = yield* makeProgress({ title: "evaluating", unit: "documents", total: documents.length })

  const asked: Array<NextToken.Problem> = []
  const direct: Array<Evaluation.PositionRecord> = []
  const reasoned: Array<Evaluators.ReasonedRecord> = []
  for (let done = 0; done < documents.length; done += documentsPerBatch) {
    const batch = documents.slice(done, done + documentsPerBatch)
    const entropies = yield* evaluator.entropies(weights, batch, Difficulty.top16)
    const heldOut = batch.map((document, d) => heldOutOf(input, corpus, context, document, entropies[d]))
    asked.push(...heldOut.flatMap((own) => own.map(({ problem }) => problem)))
    direct.push(...(yield* evaluator.direct(weights, heldOut)))
    if (input.reasoned) reasoned.push(...(yield* evaluator.reasoned(weights, heldOut)))
    yield* progress.update(done + batch.length)
  }

  const tableOf = (records: ReadonlyArray<Evaluation.PositionRecord>) => Evaluation.accuracyTable(records, { seed })
  const found = {
    corpus: corpus.name,
    backend,
    documents: documents.length,
    skipped,
    positions: direct.length,
    entropy: Difficulty.describe(Difficulty.top16),
    template: template.name,
    winnability: winnability(template, asked),
    direct: tableOf(direct)
  }
  if (!input.reasoned) return found
  return {
    ...found,
    reasoned: tableOf(reasoned),
    difference: Evaluation.pairedDifference(Evaluation.samples(reasoned), Evaluation.samples(direct), { seed }),
    outcomes: Object.fromEntries(
      [...Map.groupBy(reasoned, ({ outcome }) => outcome)].map(([outcome, all]) => [
        outcome,
        all.length / reasoned.length
      ])
    )
  }
})

/** The first documents as tokens, each as much of it as fits the model together with template and thought. */
const heldOutDocuments = Effect.fnUntraced(function* (
  input: Input,
  corpus: Corpus.Corpus,
  { config, frame, tokenizer }: RunContext
) {
  const { minContext } = input
  const around = frame.head.length + (input.reasoned ? frame.tail.length + input.maxTokens : 0)
  const room = Math.min(input.context, config.maxPositions - around)
  if (room <= minContext) {
    const message =
      `--context is ${input.context}, the model has ${config.maxPositions} positions, and ${around} go to template and ` +
      `thought: ${Math.max(0, room)} tokens are left to read, more than --min-context (${minContext}) were expected`
    return yield* new InputError({ message })
  }
  const settings = NextToken.settings({ minEntropy: 0, minimumContext: minContext, maxTokens: room })
  const first = yield* Corpus.documents(corpus).pipe(
    Stream.take(input.documents),
    Stream.mapEffect((document) => Problems.trunksOf(tokenizer, document, settings)),
    Stream.runCollect
  )
  const documents = Array.from(first).flatMap(([start]) => (start._tag === "Trunk" ? [start.document] : []))
  if (documents.length === 0) {
    const message = `${input.corpus}: none of ${first.length} documents is longer than --min-context (${minContext} tokens)`
    return yield* new InputError({ message })
  }
  return { documents, skipped: first.length - documents.length }
})

/** The positions that are asked of a document: all behind the minimum context, or a draw of them. */
const heldOutOf = (
  { minContext, positions, reasoned, seed }: Input,
  corpus: Corpus.Corpus,
  context: RunContext,
  document: NextToken.TokenizedDocument,
  entropies: Float64Array
): Evaluators.HeldOut => {
  const eligible = document.tokens.length - minContext
  const count = Math.min(eligible, positions ?? (reasoned ? 8 : eligible))
  const drawn = draw.permutation(seed, ["evaluation", document.id], eligible).subarray(0, count)
  const anchors = Array.from(drawn, (i) => minContext + i).toSorted((a, b) => a - b)
  const roles = rolesOf(corpus, document.id)
  return Evaluator.heldOutAt(context, document, anchors, horizon, (anchor) => ({
    entropy: entropies[anchor],
    tags: roles.length === 0 ? [] : [roles[anchor]]
  }))
}

/** What decides each token of a generated document; of others nothing is known. */
const rolesOf = (corpus: Corpus.Corpus, id: string): ReadonlyArray<Synthetic.Role> => {
  if (corpus._tag !== "Generated") return []
  const { seed, split } = corpus
  return Synthetic.document({ seed, split, index: Number(id.split("/").at(-1)?.split("#")[0]) }).roles
}

export const show = (output: Output): string => {
  const { direct, reasoned, difference, outcomes } = output
  // The last of the disjoint bins is the last of the nested ones again.
  const rowsOf = ({ all, nested, disjoint, tags }: Evaluation.AccuracyTable) => [
    all,
    ...nested,
    ...disjoint.slice(0, -1),
    ...tags
  ]
  const thought = reasoned === undefined ? [] : rowsOf(reasoned)
  const rows = rowsOf(direct).map((row, i) => [
    row.name,
    String(row.count),
    interval(row),
    ...(thought.length === 0 ? [] : [interval(thought[i])])
  ])
  const headings = ["positions", "count", "direct", ...(thought.length === 0 ? [] : ["reasoned"])]
  const read = `${output.documents} documents of ${output.corpus} (${output.skipped} too short), by ${output.entropy}`
  const more = [
    winnabilityLine(output.winnability, output.template),
    ...(difference === undefined ? [] : [`reasoned - direct: ${interval(difference)}`]),
    ...(outcomes === undefined
      ? []
      : [
          Object.entries(outcomes)
            .map(([name, part]) => `${name} ${part.toFixed(3)}`)
            .join(", ")
        ])
  ]
  return [read, "", table(headings, rows), ...(more.length > 0 ? ["", ...more] : [])].join("\n")
}

const interval = ({ estimate, low, high, count }: Evaluation.Interval): string =>
  count === 0 ? "-" : `${estimate.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`

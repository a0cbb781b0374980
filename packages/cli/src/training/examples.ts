/** What supervised fine-tuning learns from: documents, and what is to be written at some of their positions. */
import { Corpus, draw, Problems, Synthetic, Template } from "@foretoken/core"
import type { RunContext, Supervised } from "@foretoken/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Training } from "../actions/train.ts"
import { InputError } from "../failure.ts"
import { endless, epochOptions } from "./endless.ts"

type Examples = Stream.Stream<Supervised.Example, Error>

/** Of the generated corpus its worked examples; of a .jsonl file the completions of its lines. */
export const endlessExamples = (
  { input, corpus }: Training,
  context: RunContext
): Effect.Effect<Examples, InputError> => {
  if (corpus._tag === "Generated") return workedExamples(corpus, context, input)
  if (corpus._tag !== "JsonLines") {
    const message = `--corpus is ${input.corpus}; --objective sft learns from dials or from a .jsonl file with --field and --completion-field`
    return Effect.fail(new InputError({ message }))
  }
  const { path, field } = corpus
  const completions = Corpus.jsonl(path, { field: input.completionField })
  // Both are shuffled alike, so what is zipped comes from one line.
  const epoch = (number: number) =>
    Stream.zip(
      Problems.epoch(Corpus.jsonl(path, { field }), epochOptions(input.seed, number)),
      Problems.epoch(completions, epochOptions(input.seed, number))
    )
  return Effect.succeed(
    endless(epoch).pipe(Stream.mapEffect(([{ id, text }, completion]) => example(context, id, text, completion.text)))
  )
}

const example = (
  { tokenizer, frame, config }: RunContext,
  id: string,
  text: string,
  completion: string
): Effect.Effect<Supervised.Example, Corpus.CorpusError> =>
  Effect.gen(function* () {
    const fail = (problem: string) => Effect.fail(new Corpus.CorpusError({ location: id, problem }))
    const attempt = (encode: () => Int32Array) =>
      Effect.try({
        try: encode,
        catch: (cause) =>
          new Corpus.CorpusError({ location: id, problem: cause instanceof Error ? cause.message : String(cause) })
      })
    const tokens = yield* attempt(() => tokenizer.encode(text))
    const target = yield* attempt(() => tokenizer.encodePrompt(completion, "continues"))
    if (tokens.length === 0 || target.length === 0) return yield* fail("the text and its completion must not be empty")
    const length = frame.head.length + tokens.length + frame.tail.length + target.length
    if (length > config.maxPositions) {
      return yield* fail(
        `text, template and completion have ${length} tokens; the model has ${config.maxPositions} positions`
      )
    }
    return { document: { id, tokens }, completions: [{ anchor: tokens.length, completion: target }] }
  })

const workedExamples = (
  { seed: corpusSeed, split, count }: Extract<Corpus.Corpus, { readonly _tag: "Generated" }>,
  { tokenizer, template }: RunContext,
  { seed, noise }: { readonly seed: number; readonly noise: number }
): Effect.Effect<Examples, InputError> => {
  const [thinkEnd, end] = [template.thinkEnd, ...template.stop].map(tokenizer.tokenId)
  if (template.name !== Template.compact.name || thinkEnd === undefined || end === undefined) {
    const message =
      "the worked examples of dials are written in the template compact, whose tokens this vocabulary lacks"
    return Effect.fail(new InputError({ message }))
  }
  const exampleAt = (index: number): Supervised.Example => {
    const document = Synthetic.document({ seed: corpusSeed, split, index })
    const traces = Synthetic.traces(document, { seed, noise })
    return {
      document,
      completions: traces.map(({ anchor, thought, answer }) => ({
        anchor,
        completion: Int32Array.from([...thought, thinkEnd, answer, end])
      }))
    }
  }
  const epoch = (number: number) => Stream.fromIterable(draw.permutation(seed, ["examples", number], count))
  return Effect.succeed(endless(epoch).pipe(Stream.map(exampleAt)))
}

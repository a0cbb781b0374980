/**
 * The problems of a corpus, as a description (corpus and settings) and as the stream of trunks that a pipeline turns into
 * batches: it runs the model over each trunk once, takes the entropies, and asks `problemsOf`.
 */
import { Schema } from "effect"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as draw from "../random/draw.ts"
import * as Corpus from "./Corpus.ts"
import { CorpusError } from "./CorpusError.ts"
import type { Document } from "./Document.ts"
import { problemAt, selectAnchors, windows } from "./NextToken.ts"
import type { NextTokenSettings, Problem, TokenizedDocument } from "./NextToken.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** Plain data: what is read, and what is asked about it. */
export interface Problems {
  readonly corpus: Corpus.Corpus
  readonly settings: NextTokenSettings
}

/** What became of a document, or of a window of it. */
export type Trunk =
  | { readonly _tag: "Trunk"; readonly document: TokenizedDocument }
  /** Not longer than the minimum context: nothing to ask. To be counted, not to be passed over in silence. */
  | { readonly _tag: "TooShort"; readonly id: string; readonly tokens: number }

/** A corpus in which there is nothing to ask. */
export class NothingEligible extends Schema.TaggedError<NothingEligible>()("NothingEligible", {
  corpus: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.corpus}: ${this.problem}`
  }
}

export interface EpochOptions {
  readonly seed: number
  readonly epoch: number
  /** Documents that are shuffled among each other at a time; 1 keeps corpus order. This many are in memory. */
  readonly shuffleBuffer: number
  /** Documents of this epoch's order to pass over: where an interrupted epoch goes on. */
  readonly from: number
}

/** The documents of one epoch: a pure function of (corpus, seed, epoch, shuffleBuffer), from index `from` on. */
export const epoch = (corpus: Corpus.Corpus, options: EpochOptions): Stream.Stream<Document, CorpusError> => {
  const all = Corpus.documents(corpus)
  if (options.shuffleBuffer <= 1) return Stream.drop(all, options.from)
  return all.pipe(
    Stream.grouped(options.shuffleBuffer),
    Stream.zipWithIndex,
    Stream.flatMap(([block, index]) => {
      const order = draw.permutation(options.seed, ["documents", options.epoch, index], block.length)
      return Stream.fromArray(Array.from(order, (i) => block[i]))
    }),
    Stream.drop(options.from)
  )
}

/** The trunks of one epoch. Fails with NothingEligible if a whole epoch has no document longer than the minimum context. */
export const trunks = (
  problems: Problems,
  tokenizer: Tokenizer,
  options: EpochOptions
): Stream.Stream<Trunk, CorpusError | NothingEligible> =>
  Stream.suspend(() => {
    let any = options.from > 0
    const all = epoch(problems.corpus, options).pipe(
      Stream.mapEffect((document) => trunksOf(tokenizer, document, problems.settings)),
      Stream.flatMap((parts) => Stream.fromArray(parts)),
      Stream.map((trunk) => {
        if (trunk._tag === "Trunk") any = true
        return trunk
      })
    )
    return Stream.concat(
      all,
      Stream.suspend(() => (any ? Stream.empty : Stream.fail(allTooShort(problems))))
    )
  })

/** One document tokenized and cut. Fails with CorpusError on a text that the tokenizer cannot spell. */
export const trunksOf = (
  tokenizer: Tokenizer,
  document: Document,
  settings: NextTokenSettings
): Effect.Effect<ReadonlyArray<Trunk>, CorpusError> =>
  Effect.try({
    try: (): ReadonlyArray<Trunk> => {
      const tokens = tokenizer.encode(document.text)
      if (tokens.length <= settings.minimumContext) {
        return [{ _tag: "TooShort", id: document.id, tokens: tokens.length }]
      }
      return windows({ id: document.id, tokens }, settings).map((window) => ({ _tag: "Trunk", document: window }))
    },
    catch: (cause) =>
      new CorpusError({ location: document.id, problem: cause instanceof Error ? cause.message : String(cause) })
  })

/**
 * The problems of one trunk, given its entropies (shape [T], see selectAnchors). The epoch is part of their ids: a problem that
 * is asked again in the next epoch is another one.
 */
export const problemsOf = (
  tokenizer: Tokenizer,
  document: TokenizedDocument,
  entropies: ArrayLike<number>,
  settings: NextTokenSettings,
  at: { readonly seed: number; readonly epoch: number }
): ReadonlyArray<Problem> =>
  selectAnchors(entropies, settings, at.seed, document.id, at.epoch).map((anchor) => {
    const problem = problemAt(tokenizer, document, anchor, settings.horizon)
    return { ...problem, id: `${at.epoch}/${problem.id}` }
  })

/** For a pipeline that went through a whole epoch and found no position that passes the filter. */
export function noneHardEnough(problems: Problems, trunks: number): NothingEligible {
  const { filter } = problems.settings
  const rule = filter._tag === "MinEntropy" ? `minEntropy ${filter.nats}` : `quantile ${filter.quantile}`
  const problem = `none of ${trunks} documents has a position that passes ${rule}; a lower value asks more positions`
  return new NothingEligible({ corpus: problems.corpus.name, problem })
}

function allTooShort({ corpus, settings }: Problems): NothingEligible {
  const problem =
    `no document is longer than the minimum context of ${settings.minimumContext} tokens; ` +
    `longer documents or a smaller minimumContext would do`
  return new NothingEligible({ corpus: corpus.name, problem })
}
